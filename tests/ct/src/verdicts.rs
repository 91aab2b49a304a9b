//! Values that may depend on secrets because they are public: verdicts, and messages about to be
//! sent.
//!
//! A report of memcheck is allowed by the innermost line of this repository that it names, word for
//! word, and by the function that was called there. So a second branch beside an allowed one is
//! reported.

/// A line of the core, and why a branch or an address there may depend on a secret.
pub struct Verdict {
    /// Below `core/src`.
    pub file: &'static str,
    /// The line, without the space around it.
    pub line: &'static str,
    /// Begins the name of the function that the report is about.
    pub function: &'static str,
    /// Why it is public.
    pub why: &'static str,
}

const fn verdict(
    file: &'static str,
    line: &'static str,
    function: &'static str,
    why: &'static str,
) -> Verdict {
    Verdict { file, line, function, why }
}

pub const VERDICTS: &[Verdict] = &[
    verdict(
        "crypto/curve.rs",
        "if bool::from(point.is_identity()) {",
        "encode_point",
        "no point is the identity but with probability 2^-256, and then nothing works",
    ),
    verdict(
        "crypto/curve/secp256k1.rs",
        "<ProjectivePoint as BatchNormalize<[ProjectivePoint]>>::batch_normalize(points)",
        "unwrap",
        "the same",
    ),
    verdict(
        "crypto/ot/base.rs",
        "if bool::from(identity) { Err(InvalidPoint) } else { Ok(encoded) }",
        "cosign_core::crypto::ot::base::encode_shared",
        "the same",
    ),
    verdict(
        "crypto/curve/secp256k1/oracle.rs",
        "<Field as BatchInvert<[Field]>>::batch_invert(denominators.as_slice()).into();",
        "from",
        "a zero denominator, which nobody can find",
    ),
    verdict(
        "crypto/ot/tree.rs",
        "if bool::from(valid) { Ok(ReceiverTrees { holes, leaves }) } else { Err(InvalidTree) }",
        "cosign_core::crypto::ot::tree::evaluate",
        "whether the trees fit is what the peer is told",
    ),
    verdict(
        "crypto/ot/extension.rs",
        "if bool::from(fit) { Ok(all) } else { Err(CheckFailed) }",
        "check_all",
        "whether all extensions of a message fit is what the peer is told",
    ),
    verdict(
        "crypto/ot/combination.rs",
        "*bit ^= sums[usize::from(*index)];",
        "cosign_core::crypto::ot::combination::Combination::of_columns",
        "the weights are a hash of the corrections, which are sent",
    ),
    verdict(
        "crypto/ot/tree.rs",
        "if bool::from(valid) { Ok(Self { holes, leaves }) } else { Err(InvalidTree) }",
        "cosign_core::crypto::ot::tree::ReceiverTrees::from_bytes",
        "whether a stored share is whole; what is asked is the same for every whole one",
    ),
    verdict(
        "crypto/mul.rs",
        "summands.expose_mut().iter_mut().for_each(|summand: &mut Scalar<C>| *summand = -*summand);",
        "",
        "whether the scalar is zero, which it is with probability 2^-256",
    ),
    verdict(
        "crypto/zero.rs",
        "*sum += if me < peer { term } else { -term };",
        "",
        "the same; who has the lower number is public",
    ),
    verdict(
        "crypto/mul.rs",
        "if bool::from(verdict.ct_eq(message.verdict)) {",
        "cosign_core::crypto::mul::receive",
        "whether the product fits is what the peer is told",
    ),
    verdict(
        "protocol/sign/round2.rs",
        "if reader.array::<32>()? != &self.view {",
        "",
        "the view is sent",
    ),
    verdict(
        "crypto/curve/secp256k1.rs",
        "[is_first, is_first && second.is(&claimed[1])]",
        "",
        "whether the images fit is what the peer is told",
    ),
    verdict(
        "protocol/sign/round2.rs",
        "if !is_u {",
        "",
        "the same",
    ),
    verdict("protocol/sign/round2.rs", "if !is_v {", "", "the same"),
    verdict(
        "protocol/sign/round2.rs",
        "if sum == ProjectivePoint::<C>::from(item.public_key) {",
        "",
        "the public shares are sent",
    ),
    verdict(
        "protocol/sign/round2.rs",
        "if sums.nonce_point == ProjectivePoint::<C>::identity() || r == Scalar::<C>::ZERO {",
        "",
        "the nonce point is a part of the signature",
    ),
    verdict("protocol/sign/round3.rs", "if *theirs != nonce_bytes {", "", "the same"),
    verdict(
        "protocol/sign/round3.rs",
        "if denominator == Scalar::<C>::ZERO || numerator == Scalar::<C>::ZERO {",
        "",
        "whether the sum of what all sent is zero",
    ),
    verdict(
        "crypto/ecdsa.rs",
        "if flipped { (-s, -inverse, -*nonce_point) } else { (s, inverse, *nonce_point) };",
        "",
        "the signature follows from what all sent",
    ),
    verdict("crypto/ecdsa.rs", "if *r == Scalar::<C>::ZERO {", "", "the same"),
    verdict(
        "crypto/ecdsa.rs",
        "let inverse = Option::<Scalar<C>>::from(Invert::invert(&(*numerator * denominator)))",
        "",
        "the same",
    ),
    verdict("crypto/ecdsa.rs", "if seen != ProjectivePoint::<C>::from(nonce_point) {", "", "the same"),
];
