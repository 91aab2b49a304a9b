//! What rules say about payments of Bitcoin, Ethereum transactions and typed data.
//!
//! Everything is taken from what this device decoded. A rule that limits something which a request
//! does not have, or which this device cannot tell, does not fit.

use alloy_primitives::U256;
use serde::de::{Deserialize, Deserializer, Error as _};

use crate::payload::Summary;
use crate::payload::bitcoin::payment::{self, To};
use crate::payload::bitcoin::{COIN, Network, Satoshis, as_address};
use crate::payload::ethereum::call::Call;
use crate::payload::ethereum::{Account, Number, Warning, transaction, typed_data};

/// What rules are compared with.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// The number of the chain.
    pub(super) chain: Option<u64>,
    /// The network of Bitcoin.
    pub(super) network: Option<Network>,
    /// Who is paid or called, at any depth; `None` if a contract is created, or where this device
    /// cannot tell.
    pub(super) targets: Option<Vec<Target>>,
    /// Those of them whose code is called.
    pub(super) called: Vec<Account>,
    /// The names of the methods that are called, at any depth; the name of the type of typed data.
    /// `None` for a call that is not read, and for coins that leave without one.
    pub(super) methods: Vec<Option<String>>,
    /// What leaves, if all of that is known.
    pub(super) amount: Option<Amount>,
    /// What counts towards a limit for a day: of a payment of Bitcoin, with the fee.
    pub(super) daily: Option<Amount>,
    /// Whether the fee of a payment of Bitcoin is high, or not known for sure.
    pub(super) has_doubtful_fee: bool,
    /// The most that it costs.
    pub(super) fee: Option<Amount>,
}

impl Facts {
    /// The facts of a payload; none of a file or a message.
    pub(super) fn of(summary: Option<&Summary>) -> Self {
        match summary {
            Some(Summary::EthTx(transaction)) => Self::of_transaction(transaction),
            Some(Summary::TypedData(typed)) => Self::of_typed_data(typed),
            Some(Summary::Psbt(payment)) => Self::of_payment(payment),
            Some(
                Summary::File(_)
                | Summary::Files(_)
                | Summary::Message(_)
                | Summary::Jws(_)
                | Summary::OpenPgp(_)
                | Summary::OpenPgpKey(_)
                | Summary::Git(_),
            )
            | None => Self::default(),
        }
    }

    fn of_payment(summary: &payment::Summary) -> Self {
        let targets = summary.outputs.iter().map(|output| match (&output.path, &output.to) {
            (Some(_), _) => Target::Own,
            (None, To::Address(address)) => Target::Address(address.clone()),
            (None, To::Data(_) | To::Script(_)) => Target::Nameless,
        });
        let is_proven = |warning: &payment::Warning| {
            !matches!(warning, payment::Warning::UnprovenAmounts { .. })
        };
        let is_known = summary.warnings.iter().all(is_proven);
        let all = Satoshis(summary.leaves.0.saturating_add(summary.fee.0));
        Self {
            network: Some(summary.network),
            targets: Some(targets.collect()),
            amount: Some(Amount::of(summary.leaves)),
            daily: is_known.then(|| Amount::of(all)),
            fee: is_known.then(|| Amount::of(summary.fee)),
            has_doubtful_fee: summary.is_fee_doubtful(),
            ..Self::default()
        }
    }

    fn of_transaction(summary: &transaction::Summary) -> Self {
        let calls = summary.call.iter().flat_map(Call::all);
        let delegates = summary.authorizations.iter().map(|given| given.delegate);
        let read = summary.call.as_ref().is_none_or(is_read);
        let called = called(calls.clone());
        let targets = summary.to.filter(|_| read).map(|to| {
            let called = calls.clone().map(|call| call.to);
            std::iter::once(to).chain(called).chain(delegates).map(Target::Account).collect()
        });
        let methods = match &summary.call {
            None => vec![None],
            Some(_) => calls.map(method).collect(),
        };
        let gives_code = !summary.authorizations.is_empty();
        let amount = match (&summary.to, &summary.call) {
            _ if gives_code => None,
            (Some(_), None) => Some(Amount::Ether(summary.value)),
            (Some(_), Some(call)) if summary.value == Number::default() => {
                call.amount.map(|amount| Amount::Token { amount, contract: call.to })
            }
            _ => None,
        };
        let chain = Some(summary.chain.id);
        let fee = Some(Amount::Ether(summary.max_fee));
        Self { chain, targets, called, methods, amount, daily: amount, fee, ..Self::default() }
    }

    fn of_typed_data(summary: &typed_data::Summary) -> Self {
        let calls = summary.call.iter().flat_map(Call::all);
        let named = summary.accounts().into_iter().filter(|account| account.bytes() != [0; 20]);
        let read = !summary.has_unread_bytes() && all_known(&summary.warnings);
        let targets = summary.contract.filter(|_| read).map(|contract| {
            std::iter::once(contract)
                .chain(named)
                .chain(calls.clone().map(|call| call.to))
                .map(Target::Account)
                .collect()
        });
        let own = Some(summary.primary_type.clone()).filter(|_| read);
        Self {
            chain: summary.chain.map(|chain| chain.id),
            targets,
            called: called(calls.clone()),
            methods: std::iter::once(own).chain(calls.map(method)).collect(),
            ..Self::default()
        }
    }
}

/// Whether all that a call does with its arguments is known.
fn is_read(call: &Call) -> bool {
    all_known(&call.warnings())
}

/// Whether nothing among these warnings hides who is paid or called: a Safe that pays for gas pays
/// somebody.
fn all_known(warnings: &[Warning]) -> bool {
    let unknown = [Warning::OddEncoding, Warning::TooDeep, Warning::Refund];
    !warnings.iter().any(|warning| unknown.contains(warning))
}

fn called<'c>(calls: impl Iterator<Item = &'c Call>) -> Vec<Account> {
    calls.filter(|call| call.selector.is_some()).map(|call| call.to).collect()
}

/// The name that rules know a call by; `None` for foreign code in the place of the caller, and where
/// coins go along that the method does not take.
fn method(call: &Call) -> Option<String> {
    let takes_coins = call.value == Number::default() || call.name() == Some("deposit");
    let is_plain = takes_coins && !call.delegate && is_read(call);
    call.name().filter(|_| is_plain).map(str::to_owned)
}

/// Who is paid or called, or may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// The account of the key itself, or an address below the key.
    Own,
    /// This account.
    Account(Account),
    /// This address of Bitcoin.
    Address(String),
    /// A script without an address, or data.
    Nameless,
}

impl Target {
    pub(super) fn text(&self) -> String {
        match self {
            Self::Own => "own".to_owned(),
            Self::Account(account) => account.to_string(),
            Self::Address(address) => address.clone(),
            Self::Nameless => "a script without an address".to_owned(),
        }
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.as_str() {
            "own" => Ok(Self::Own),
            _ if !text.starts_with("0x") => {
                as_address(&text).map(Self::Address).ok_or_else(|| D::Error::custom(NO_TARGET))
            }
            _ => text.parse().map(Self::Account).map_err(D::Error::custom),
        }
    }
}

const NO_TARGET: &str =
    "`to` lists addresses of Ethereum (0x and 40 digits) or Bitcoin, or \"own\"";

/// An amount that leaves, or that a rule lets leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Amount {
    /// Of the chain's own coin, in wei.
    Ether(Number),
    /// Of Bitcoin, in satoshis.
    Bitcoin(Number),
    /// Of a token, in its base units.
    Token {
        /// How many.
        amount: Number,
        /// The token.
        contract: Account,
    },
}

impl Amount {
    fn of(amount: Satoshis) -> Self {
        Self::Bitcoin(Number::from(amount.0))
    }

    /// Both as numbers, if they are of the same coin or token.
    pub(super) fn of_one_kind(self, other: Self) -> Option<(Number, Number)> {
        match (self, other) {
            (Self::Ether(one), Self::Ether(other)) | (Self::Bitcoin(one), Self::Bitcoin(other)) => {
                Some((one, other))
            }
            (Self::Token { amount, contract }, Self::Token { amount: other, contract: of }) => {
                (contract == of).then_some((amount, other))
            }
            _ => None,
        }
    }

    /// `amount` of the same coin or token.
    pub(super) fn with(self, amount: Number) -> Self {
        match self {
            Self::Ether(_) => Self::Ether(amount),
            Self::Bitcoin(_) => Self::Bitcoin(amount),
            Self::Token { contract, .. } => Self::Token { amount, contract },
        }
    }

    pub(super) fn text(self) -> String {
        match self {
            Self::Ether(wei) => format!("{} ETH", wei.ether()),
            Self::Bitcoin(amount) => {
                let satoshis = u64::try_from(amount.0).unwrap_or(u64::MAX);
                format!("{} BTC", Satoshis(satoshis).btc())
            }
            Self::Token { amount, contract } => format!("{amount}@{contract}"),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        if let Some((amount, contract)) = text.split_once('@') {
            let amount = Number(digits(amount)?);
            return Some(Self::Token { amount, contract: contract.parse().ok()? });
        }
        match text.split_once(' ')? {
            (amount, "ETH") => Some(Self::Ether(units(amount, 18)?)),
            (amount, "BTC") => {
                let satoshis = units(amount, 8)?;
                (satoshis.0 <= U256::from(21_000_000 * COIN)).then_some(Self::Bitcoin(satoshis))
            }
            _ => None,
        }
    }
}

/// An amount with at most `decimals` digits behind its point, in the smallest unit.
fn units(text: &str, decimals: u8) -> Option<Number> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let width = usize::from(decimals);
    if fraction.is_empty() || fraction.len() > width {
        return None;
    }
    let whole = digits(whole)?.checked_mul(U256::from(10_u64.pow(decimals.into())))?;
    let fraction = digits(&format!("{fraction:0<width$}"))?;
    Some(Number(whole.checked_add(fraction)?))
}

/// A number of decimal digits and nothing else.
fn digits(text: &str) -> Option<U256> {
    let is_plain = !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    U256::from_str_radix(text, 10).ok().filter(|_| is_plain)
}

const NO_AMOUNT: &str = "an amount is such as \"0.05 BTC\", \"1.5 ETH\" (of the chain's own coin), or a token's \
                         base units and contract, \"250000000@0x…\"";

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom(NO_AMOUNT))
    }
}

/// The most that a transaction may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fee(pub(super) Amount);

impl Fee {
    /// The fee in the name of a counter.
    pub(super) fn identity(self) -> String {
        match self.0 {
            // Counters of rules from before there were payments of Bitcoin keep their names.
            Amount::Ether(wei) => wei.to_string(),
            other => other.text(),
        }
    }
}

impl<'de> Deserialize<'de> for Fee {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Amount::deserialize(deserializer)? {
            Amount::Token { .. } => {
                Err(D::Error::custom("a fee is such as \"0.01 ETH\" or \"0.0002 BTC\""))
            }
            coins => Ok(Self(coins)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_to_their_last_digit() {
        let wei = |wei: u128| Some(Amount::Ether(Number(U256::from(wei))));
        assert_eq!(Amount::parse("1.5 ETH"), wei(1_500_000_000_000_000_000));
        assert_eq!(Amount::parse("0.000000000000000001 ETH"), wei(1));
        let satoshis = |satoshis: u64| Some(Amount::Bitcoin(Number::from(satoshis)));
        assert_eq!(Amount::parse("0.05 BTC"), satoshis(5_000_000));
        assert_eq!(Amount::parse("21000000 BTC"), satoshis(2_100_000_000_000_000));
        assert_eq!(Amount::parse("20 ETH"), wei(20_000_000_000_000_000_000));
        let contract = Account::new([0x33; 20]);
        let token = Amount::Token { amount: Number::from(250), contract };
        assert_eq!(Amount::parse(&format!("250@{contract}")), Some(token));
        assert_eq!(token.text(), format!("250@{contract}"));
        for bad in [
            "",
            "1",
            "ETH",
            " ETH",
            ".5 ETH",
            "1. ETH",
            "-1 ETH",
            "1_0 ETH",
            "0.000000001 BTC",
            "21000000.00000001 BTC",
            "1  BTC",
            "1 btc",
            "1@0x",
            "0.0000000000000000001 ETH",
            "1,5 ETH",
        ] {
            assert_eq!(Amount::parse(bad), None, "{bad}");
        }
        assert_eq!(Amount::parse(&format!("{} ETH", "9".repeat(70))), None);
    }
}
