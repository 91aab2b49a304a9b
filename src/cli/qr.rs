//! QR codes in picture files.

use std::fs;
use std::io;
use std::path::Path;

use qrcode::render::svg;
use qrcode::{Color, EcLevel, QrCode};

use self::picture::Picture;
use super::output::unwritable;
use crate::report::unreadable;
use crate::report::{Code, Failure};
use crate::vault::given::{self, Guard};

mod picture;

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
        Kind::Png => {
            let file = fs::File::create(path).map_err(failed)?;
            drawn(&code).write_png(file).map_err(failed)
        }
    }
}

fn drawn(code: &QrCode) -> Picture {
    let (width, modules) = (code.width(), code.to_colors());
    let module = |at: usize| (at / SCALE).checked_sub(QUIET).filter(|at| *at < width);
    let side = width.saturating_add(2 * QUIET).saturating_mul(SCALE);
    Picture::from_fn(side, side, |x, y| {
        let dark = module(x).zip(module(y)).and_then(|(x, y)| modules.get(y * width + x));
        if dark == Some(&Color::Dark) { 0 } else { 255 }
    })
}

/// The text of the QR code in a picture: the first that `is_wanted`, if there are several, or else the first.
///
/// # Errors
/// `not_found` if there is no such file or no QR code in it, `usage` if it is not a picture.
pub fn read(path: &Path, is_wanted: impl Fn(&str) -> bool) -> Result<String, Failure> {
    let name = path.display();
    let content = given::read(path, Guard::Open, MAX_FILE)
        .map_err(|error| unreadable(error, &format!("picture {name}")))?;
    let whole = Picture::read(content.expose()).map_err(|why| {
        Failure::new(Code::Usage, format!("{name} is no picture: {why}"))
            .hint("PNG and JPEG are read")
    })?;
    // At half the size there is less noise in a photograph of many pixels.
    let half = whole.halved();
    let (whole_inverted, half_inverted) = (whole.inverted(), half.inverted());
    let mut texts = [whole, half, whole_inverted, half_inverted].into_iter().flat_map(decode);
    let first = texts.next();
    let wanted = first.iter().cloned().chain(texts).find(|text| is_wanted(text));
    wanted.or(first).ok_or_else(|| {
        Failure::new(Code::NotFound, format!("no QR code was found in {name}"))
            .hint("take the picture again, straight and sharp, with the white border whole")
    })
}

fn decode(picture: Picture) -> Vec<String> {
    let mut prepared =
        rqrr::PreparedImage::prepare_from_greyscale(picture.width(), picture.height(), |x, y| {
            picture.luma(x, y)
        });
    let grids = prepared.detect_grids();
    grids.iter().filter_map(|grid| grid.decode().ok().map(|(_, text)| text)).collect()
}

/// The most bytes that are read of a picture.
const MAX_FILE: u64 = 32 << 20;
/// The quiet zone, in modules.
const QUIET: usize = 4;
/// Pixels along a module.
const SCALE: usize = 8;

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
mod tests {
    use super::*;

    const INVITATION: &str = "cosign://pair?relay=ws://a:1";

    fn code(text: &str) -> Picture {
        drawn(&QrCode::with_error_correction_level(text, EcLevel::M).unwrap())
    }

    /// What is read of a picture, where invitations are wanted.
    fn read_of(picture: &Picture) -> Option<String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("code.png");
        picture.write_png(fs::File::create(&path).unwrap()).unwrap();
        read(&path, |text| text.starts_with("cosign:")).ok()
    }

    #[test]
    fn a_code_in_white_on_black_is_read() {
        assert_eq!(read_of(&code(INVITATION).inverted()).as_deref(), Some(INVITATION));
    }

    #[test]
    fn a_code_that_lies_on_its_side_is_read() {
        let upright = code(INVITATION);
        let turned = Picture::from_fn(upright.height(), upright.width(), |x, y| {
            upright.luma(y, upright.height() - 1 - x)
        });
        assert_eq!(read_of(&turned).as_deref(), Some(INVITATION));
    }

    #[test]
    fn an_invitation_is_found_beside_another_code() {
        let (left, right) = (code("https://example.org/a-poster-on-the-wall"), code(INVITATION));
        let (width, height) = (left.width() + right.width(), left.height().max(right.height()));
        let both = Picture::from_fn(width, height, |x, y| match x.checked_sub(left.width()) {
            None if y < left.height() => left.luma(x, y),
            Some(x) if y < right.height() => right.luma(x, y),
            _ => 255,
        });
        assert_eq!(read_of(&both).as_deref(), Some(INVITATION));
        assert_eq!(read_of(&left).as_deref(), Some("https://example.org/a-poster-on-the-wall"));
    }

    /// As drawing programs write it: what is not a module has no opacity, and is black underneath.
    #[test]
    fn a_code_on_a_transparent_ground_is_read() {
        let code = code(INVITATION);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("code.png");
        let side = u32::try_from(code.width()).unwrap();
        let mut encoder = png::Encoder::new(fs::File::create(&path).unwrap(), side, side);
        encoder.set_color(png::ColorType::Rgba);
        let modules = (0..code.height()).flat_map(|y| (0..code.width()).map(move |x| (x, y)));
        let pixels: Vec<u8> = modules.flat_map(|(x, y)| [0, 0, 0, !code.luma(x, y)]).collect();
        encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
        assert_eq!(read(&path, |_| true).ok().as_deref(), Some(INVITATION));
    }
}
