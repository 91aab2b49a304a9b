//! QR codes in picture files.

use std::fs;
use std::io::{self, Cursor};
use std::path::Path;

use image::{GrayImage, ImageError, ImageFormat, ImageReader, Limits, Luma};
use qrcode::render::svg;
use qrcode::{Color, EcLevel, QrCode};

use super::output::unwritable;
use crate::report::unreadable;
use crate::report::{Code, Failure};
use crate::vault::Error;
use crate::vault::given::{self, Guard};

/// The file format of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Png,
    Svg,
}

/// The format for the ending of `path`.
///
/// # Errors
/// It ends in neither `.png` nor `.svg`.
pub(super) fn kind(path: &Path) -> Result<Kind, Failure> {
    let ending = path.extension().unwrap_or_default().to_ascii_lowercase();
    match ending.to_str() {
        Some("png") => Ok(Kind::Png),
        Some("svg") => Ok(Kind::Svg),
        _ => Err(Failure::new(
            Code::Usage,
            format!("--qr-out {}: the name must end in .png or .svg", path.display()),
        )),
    }
}

/// Saves the QR code of `text`, with the quiet zone of four modules that the standard requires.
///
/// # Errors
/// The file cannot be written.
pub fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let failed = |why: io::Error| unwritable(&path.display().to_string(), &why);
    let code = QrCode::with_error_correction_level(text, EcLevel::M)
        .map_err(|why| failed(io::Error::other(why)))?;
    match kind(path)? {
        Kind::Svg => {
            let drawn = code.render::<svg::Color<'_>>().min_dimensions(400, 400).build();
            fs::write(path, drawn).map_err(failed)
        }
        Kind::Png => picture(&code).save_with_format(path, ImageFormat::Png).map_err(|why| {
            failed(match why {
                ImageError::IoError(why) => why,
                other => io::Error::other(other),
            })
        }),
    }
}

fn picture(code: &QrCode) -> GrayImage {
    let (width, modules) = (code.width(), code.to_colors());
    let side = u32::try_from(width + 2 * QUIET).unwrap_or(u32::MAX).saturating_mul(SCALE);
    GrayImage::from_fn(side, side, |x, y| {
        let module = |at: u32| {
            let at = usize::try_from(at / SCALE).ok()?.checked_sub(QUIET)?;
            (at < width).then_some(at)
        };
        let dark = module(x).zip(module(y)).and_then(|(x, y)| modules.get(y * width + x));
        Luma([if dark == Some(&Color::Dark) { 0 } else { 255 }])
    })
}

/// The text of the QR code in a picture.
///
/// # Errors
/// `not_found` if there is no such file or no QR code in it, `usage` if it is not a picture.
pub fn read(path: &Path) -> Result<String, Failure> {
    let name = path.display();
    let cannot = |why| Failure::new(Code::NotFound, format!("cannot read {name}: {why}"));
    let content = given::read(path, Guard::Open, MAX_FILE).map_err(|error| match error {
        Error::Io { source, .. } => cannot(source),
        error => unreadable(error, &format!("picture {name}")),
    })?;
    let mut reader = ImageReader::new(Cursor::new(content.expose().as_slice()))
        .with_guessed_format()
        .map_err(cannot)?;
    // A small file may claim to be a huge picture.
    let mut limits = Limits::default();
    limits.max_image_width = Some(LARGEST);
    limits.max_image_height = Some(LARGEST);
    limits.max_alloc = Some(MEMORY);
    reader.limits(limits);
    let picture = reader.decode().map_err(|why| {
        Failure::new(Code::Usage, format!("{name} is no picture: {why}"))
            .hint("PNG and JPEG are read")
    })?;
    // At half the size there is less noise in a photograph of many pixels.
    let whole = picture.to_luma8();
    let half = picture.thumbnail(picture.width() / 2, picture.height() / 2).to_luma8();
    [whole, half].into_iter().find_map(decode).ok_or_else(|| {
        Failure::new(Code::NotFound, format!("no QR code was found in {name}"))
            .hint("take the picture again, straight and sharp, with the white border whole")
    })
}

fn decode(picture: GrayImage) -> Option<String> {
    let (width, height) = picture.dimensions();
    let size = |side: u32| usize::try_from(side).ok();
    let mut prepared =
        rqrr::PreparedImage::prepare_from_greyscale(size(width)?, size(height)?, |x, y| {
            let at = u32::try_from(x).ok().zip(u32::try_from(y).ok());
            at.and_then(|(x, y)| picture.get_pixel_checked(x, y)).map_or(255, |pixel| pixel.0[0])
        });
    prepared.detect_grids().iter().find_map(|grid| grid.decode().ok().map(|(_, text)| text))
}

/// The most bytes that are read of a picture.
const MAX_FILE: u64 = 32 << 20;
const QUIET: usize = 4;
const SCALE: u32 = 8;
const LARGEST: u32 = 12_000;
const MEMORY: u64 = 512 << 20;
