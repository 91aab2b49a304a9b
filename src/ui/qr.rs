//! QR codes in half-block characters.
//!
//! Two modules share a character cell. Both colours are set: with the terminal's own colours a code
//! may be inverted, which many scanners refuse.

use qrcode::{Color, EcLevel, QrCode};

/// Black on white, whatever the terminal's colours are.
pub const COLORS: &str = "\x1b[38;5;16;48;5;231m";

/// The width of the light border. The standard requires four modules; scanners read two from a
/// screen, which leaves room for 80 by 24.
const QUIET: usize = 2;

/// The rows of the code for `text`, to be drawn in [`COLORS`]; `None` if it is too long.
pub fn rows(text: &str) -> Option<Vec<String>> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    let (width, modules) = (code.width(), code.to_colors());
    let dark = |x: usize, y: usize| {
        let (Some(x), Some(y)) = (x.checked_sub(QUIET), y.checked_sub(QUIET)) else { return false };
        x < width && y < width && modules.get(y * width + x) == Some(&Color::Dark)
    };
    let side = width + 2 * QUIET;
    let cell = |x, y| match (dark(x, y), dark(x, y + 1)) {
        (false, false) => ' ',
        (true, false) => '\u{2580}',
        (false, true) => '\u{2584}',
        (true, true) => '\u{2588}',
    };
    Some((0..side).step_by(2).map(|y| (0..side).map(|x| cell(x, y)).collect()).collect())
}
