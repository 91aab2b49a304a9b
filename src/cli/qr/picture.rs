//! Pictures in shades of grey, from PNG and JPEG files and to PNG files.

use std::io::{Cursor, Write};

use png::{ColorType, Limits, Transformations};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

/// The most pixels along a side: a small file may claim to be a huge picture.
const LARGEST: usize = 12_000;
/// The most bytes of a decoded picture.
const MEMORY: usize = 512 << 20;

/// One byte for each pixel, row by row; 0 is black.
pub(super) struct Picture {
    width: usize,
    pixels: Vec<u8>,
}

impl Picture {
    /// The picture whose pixel in column `x` of row `y` is `luma(x, y)`.
    pub(super) fn from_fn(
        width: usize,
        height: usize,
        luma: impl Fn(usize, usize) -> u8 + Copy,
    ) -> Self {
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| luma(x, y))).collect();
        Self { width, pixels }
    }

    /// The picture in a file, by its first bytes.
    ///
    /// # Errors
    /// It is neither PNG nor JPEG, damaged, or larger than [`LARGEST`] or [`MEMORY`].
    pub(super) fn read(file: &[u8]) -> Result<Self, String> {
        match file {
            [0x89, b'P', b'N', b'G', ..] => Self::read_png(file),
            [0xff, 0xd8, ..] => Self::read_jpeg(file),
            _ => Err("it begins like neither PNG nor JPEG".to_owned()),
        }
    }

    fn read_png(file: &[u8]) -> Result<Self, String> {
        let mut decoder =
            png::Decoder::new_with_limits(Cursor::new(file), Limits { bytes: MEMORY });
        decoder.set_transformations(Transformations::normalize_to_color8());
        let mut reader = decoder.read_info().map_err(|why| why.to_string())?;
        let (width, height) = (reader.info().width, reader.info().height);
        let size = reader.output_buffer_size().filter(|size| *size <= MEMORY);
        let (Some(size), true) = (size, width.max(height) as usize <= LARGEST) else {
            return Err(too_large(width, height));
        };
        let mut samples = vec![0; size];
        let frame = reader.next_frame(&mut samples).map_err(|why| why.to_string())?;
        let pixels = match frame.color_type {
            ColorType::Grayscale => samples,
            ColorType::GrayscaleAlpha | ColorType::Rgb | ColorType::Rgba => {
                samples.chunks_exact(frame.color_type.samples()).map(luma_of).collect()
            }
            ColorType::Indexed => return Err("its colours were not expanded".to_owned()),
        };
        Ok(Self { width: frame.width as usize, pixels })
    }

    fn read_jpeg(file: &[u8]) -> Result<Self, String> {
        let options = DecoderOptions::default()
            .set_max_width(LARGEST)
            .set_max_height(LARGEST)
            .jpeg_set_out_colorspace(ColorSpace::RGB);
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(file), options);
        let samples = decoder.decode().map_err(|why| why.to_string())?;
        let (width, _) = decoder.dimensions().ok_or("it has no size")?;
        Ok(Self { width, pixels: samples.chunks_exact(3).map(luma_of).collect() })
    }

    /// The same at half the size: each pixel is the mean of four.
    pub(super) fn halved(&self) -> Self {
        Self::from_fn(self.width / 2, self.height() / 2, |x, y| {
            let four = [(0, 0), (1, 0), (0, 1), (1, 1)];
            let sum: u16 =
                four.iter().map(|(a, b)| u16::from(self.luma(2 * x + a, 2 * y + b))).sum();
            u8::try_from(sum / 4).unwrap_or(u8::MAX)
        })
    }

    /// White for black.
    pub(super) fn inverted(&self) -> Self {
        Self { width: self.width, pixels: self.pixels.iter().map(|luma| !luma).collect() }
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn height(&self) -> usize {
        self.pixels.len().checked_div(self.width).unwrap_or_default()
    }

    /// White beyond the edges.
    pub(super) fn luma(&self, x: usize, y: usize) -> u8 {
        self.pixels.get(y * self.width + x).copied().unwrap_or(255)
    }

    /// Writes a PNG file.
    ///
    /// # Errors
    /// What the writer says.
    pub(super) fn write_png(&self, file: impl Write) -> std::io::Result<()> {
        let side = |pixels: usize| u32::try_from(pixels).map_err(std::io::Error::other);
        let mut encoder = png::Encoder::new(file, side(self.width)?, side(self.height())?);
        encoder.set_color(ColorType::Grayscale);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.pixels)?;
        Ok(writer.finish()?)
    }
}

/// The brightness of a pixel on white paper: grey and opacity, or red, green, blue (Rec. 709) and,
/// where there is one more, opacity.
fn luma_of(pixel: &[u8]) -> u8 {
    let (luma, opacity) = match *pixel {
        [grey, opacity] => (u32::from(grey), opacity),
        [red, green, blue, ref opacity @ ..] => {
            let sum = 2126 * u32::from(red) + 7152 * u32::from(green) + 722 * u32::from(blue);
            (sum / 10_000, opacity.first().copied().unwrap_or(255))
        }
        _ => (255, 255),
    };
    let opacity = u32::from(opacity);
    u8::try_from((luma * opacity + 255 * (255 - opacity)) / 255).unwrap_or(u8::MAX)
}

fn too_large(width: u32, height: u32) -> String {
    format!("{width} by {height} pixels are too many; {LARGEST} along a side are read")
}
