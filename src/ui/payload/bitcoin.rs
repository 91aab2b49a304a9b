//! Payments of Bitcoin as rows of a card.

use super::{in_fours, lines_of, moment};
use crate::payload::bitcoin::Satoshis;
use crate::payload::bitcoin::payment::{LockTime, Output, Summary, To, Warning};
use crate::payload::{Content, grouped};
use crate::request::below;

type Row = (&'static str, String);

/// A payment: warnings, what leaves and what it costs, and each output.
pub(super) fn payment(summary: &Summary) -> Vec<Row> {
    let mut rows: Vec<Row> = summary.warnings.iter().map(|w| ("warning", warning(*w))).collect();
    rows.push(("network", summary.network.to_string()));
    rows.push(("leaves", btc(summary.leaves)));
    let rate = summary.virtual_size.map(|size| rate(summary.fee, size));
    let rate =
        rate.unwrap_or_else(|| "whose rate cannot be told, since others sign too".to_owned());
    rows.push(("fee", format!("{}, {rate}", btc(summary.fee))));
    rows.push(("returns", btc(summary.returns)));
    let (inputs, signs) = (summary.inputs, summary.signs);
    let spends = match inputs {
        1 => format!("{}, in one input, which the key signs", btc(summary.spends)),
        _ => format!("{}, in {inputs} inputs, of which the key signs {signs}", btc(summary.spends)),
    };
    rows.push(("spends", spends));
    match summary.lock_time {
        None => {}
        Some(LockTime::Height(height)) => {
            rows.push(("not before", format!("block {}", grouped(&height.to_string()))));
        }
        Some(LockTime::Time(time)) => rows.push(("not before", moment(time))),
    }
    if summary.replaceable {
        rows.push((
            "replaceable",
            "another payment may take its place until it is in a block (RBF)".to_owned(),
        ));
    }
    if summary.blocks_after > 0 {
        let blocks = grouped(&summary.blocks_after.to_string());
        rows.push(("not before", format!("{blocks} blocks after what it spends")));
    }
    if summary.seconds_after > 0 {
        let seconds = grouped(&summary.seconds_after.to_string());
        rows.push(("not before", format!("{seconds} seconds after what it spends")));
    }
    rows.extend(summary.outputs.iter().enumerate().flat_map(|(at, one)| output(at, one)));
    rows
}

fn btc(amount: Satoshis) -> String {
    format!("{} BTC", amount.btc())
}

/// The fee for each virtual byte, rounded up to a tenth.
fn rate(fee: Satoshis, size: u64) -> String {
    let tenths = fee.0.saturating_mul(10).div_ceil(size.max(1));
    format!(
        "at least {}.{} sat/vB for {} vB at most",
        grouped(&(tenths / 10).to_string()),
        tenths % 10,
        grouped(&size.to_string())
    )
}

fn output(at: usize, output: &Output) -> Vec<Row> {
    let amount = btc(output.amount);
    let heading = match (&output.path, &output.to) {
        (Some(path), _) => format!("{amount} back to this key, at {}", below("m", path)),
        (None, To::Data(_)) => format!("{amount} to nobody: it carries data"),
        (None, To::Address(_) | To::Script(_)) => format!("{amount} to"),
    };
    let mut rows = vec![("output", format!("{at}: {heading}"))];
    match &output.to {
        To::Address(address) => rows.push(("", in_fours(address))),
        To::Script(script) => rows.push(("", format!("a script without an address: {script}"))),
        To::Data(Content::Text(text)) => rows.extend(lines_of("", text)),
        To::Data(Content::Hex(digits)) => rows.push(("", format!("in hexadecimal: {digits}"))),
    }
    rows
}

fn warning(warning: Warning) -> String {
    match warning {
        Warning::NotMain => {
            "the network is what the requester says: the same signatures are valid on \
                             the main one"
                .to_owned()
        }
        Warning::OddReturn { output } => format!(
            "output {output} goes to a key below this one where no wallet looks: it counts as leaving"
        ),
        Warning::SharedReturn { output } => format!(
            "output {output} is paid to several keys, of which one is below this one: it counts as leaving"
        ),
        Warning::FalseInput { input } => {
            format!("input {input} is said to be this key's, and is not")
        }
        Warning::FalseReturn { output } => {
            format!("output {output} is said to return to this key, and does not: it leaves")
        }
        Warning::UnprovenAmounts { inputs } => format!(
            "the amounts of {inputs} inputs are not proven: the fee may be higher than is shown"
        ),
        Warning::HighFee => "the fee is high: more than a twentieth of what is paid".to_owned(),
        Warning::HighRate => "the fee may be more than 500 sat/vB".to_owned(),
        Warning::Dust { output } => {
            format!("output {output} is worth less than what it costs to spend it")
        }
        Warning::PaidTwice { output } => {
            format!("output {output} pays an address that an output before it pays")
        }
        Warning::ForeignInputs { inputs } => {
            format!("{inputs} inputs are not known to be this key's: others sign them")
        }
        Warning::SignedAlready { inputs } => {
            format!("{inputs} inputs of this key are signed already, and are not signed again")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_never_shown_as_lower_than_it_is() {
        assert_eq!(rate(Satoshis(1000), 1000), "at least 1.0 sat/vB for 1,000 vB at most");
        assert_eq!(rate(Satoshis(1001), 1000), "at least 1.1 sat/vB for 1,000 vB at most");
        assert_eq!(rate(Satoshis(1_234_567), 1), "at least 1,234,567.0 sat/vB for 1 vB at most");
    }
}
