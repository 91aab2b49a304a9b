//! Requests to valgrind's memcheck: marks memory as secret or public.
//!
//! To memcheck a secret is memory without a value. It follows what is computed from it, bit by bit,
//! and reports every branch and every address that depends on it, which is what §11.5 of
//! docs/protocol.md rules out.

use std::arch::asm;

const MAKE_UNDEFINED: usize = 0x4d43_0001;
const MAKE_DEFINED: usize = 0x4d43_0002;
const RUNNING: usize = 0x1001;

/// Branches and addresses that depend on `value` are reported from now on.
pub fn secret<T: ?Sized>(value: &T) {
    mark(MAKE_UNDEFINED, value);
}

/// `value` is public: it was sent, or may be.
pub fn public<T: ?Sized>(value: &T) {
    mark(MAKE_DEFINED, value);
}

/// Whether valgrind runs this program.
pub fn is_watching() -> bool {
    request([RUNNING, 0, 0, 0, 0, 0]) > 0
}

fn mark<T: ?Sized>(request_code: usize, value: &T) {
    // Exposed, so that the compiler counts on what valgrind does there.
    let address = (&raw const *value).cast::<u8>().expose_provenance();
    request([request_code, address, size_of_val(value), 0, 0, 0]);
}

/// Valgrind takes this sequence for a request; a processor takes it for nothing.
#[cfg(target_arch = "x86_64")]
fn request(arguments: [usize; 6]) -> usize {
    let result;
    // SAFETY: four rotations that add up to a full turn, and an exchange of a register with itself.
    unsafe {
        asm!(
            "rol rdi, 3", "rol rdi, 13", "rol rdi, 61", "rol rdi, 51", "xchg rbx, rbx",
            in("rax") arguments.as_ptr(),
            inout("rdx") 0_usize => result,
            options(nostack),
        );
    }
    result
}
