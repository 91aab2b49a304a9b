#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cosign_fuzz::git_object(bytes));
