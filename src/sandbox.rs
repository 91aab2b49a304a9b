//! Confines this process to what its work needs: files by Landlock, system calls by seccomp.
//!
//! Each holds where the kernel has it. Where it does not, the process works on unconfined;
//! [`missing`] says so.

use std::path::Path;

/// What a confined process may do with files. Whatever lies elsewhere cannot be opened.
#[derive(Debug)]
pub struct Files<P> {
    /// Below these, files are read.
    pub read: Vec<P>,
    /// Below these, files are also made, written and removed.
    pub write: Vec<P>,
}

/// Which connections a confined process may still begin. Those it has stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sockets {
    /// None; it can still accept on sockets that listen.
    Open,
    /// Over IP and Unix sockets, and to the kernel's own (netlink), which name look-ups need.
    Local,
}

/// Confines this thread, and those that it starts from now on, to `files`. Where the kernel has no
/// Landlock nothing changes.
pub fn confine_files<P: AsRef<Path>>(files: &Files<P>) {
    let _ = system::confine_files(files);
}

/// Takes from all threads of this process, for good, the system calls by which a program starts
/// others, looks into others, or changes the system, and all sockets but `sockets`. They fail as if
/// not permitted. Where the kernel has no seccomp nothing changes.
pub fn confine_calls(sockets: Sockets) {
    let _ = system::confine_calls(sockets);
}

/// What this kernel lacks of the two, by name.
///
/// Found out by confining a thread that does nothing else.
pub fn missing() -> Vec<&'static str> {
    let tried = std::thread::spawn(|| {
        let files = system::confine_files(&Files::<&Path> { read: Vec::new(), write: Vec::new() });
        [("Landlock", files), ("seccomp", system::confine_calls_of_this_thread(Sockets::Open))]
    });
    let found = tried.join().unwrap_or([("Landlock", false), ("seccomp", false)]);
    found.into_iter().filter(|(_, works)| !works).map(|(name, _)| name).collect()
}

#[cfg(not(target_os = "linux"))]
mod system {
    use super::{Files, Sockets};

    pub(super) fn confine_files<P>(_: &Files<P>) -> bool {
        false
    }

    pub(super) fn confine_calls(_: Sockets) -> bool {
        false
    }

    pub(super) fn confine_calls_of_this_thread(_: Sockets) -> bool {
        false
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::collections::BTreeMap;
    use std::path::Path;

    use landlock::{
        ABI, Access as _, AccessFs, BitFlags, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _,
        RulesetError, RulesetStatus, path_beneath_rules,
    };
    use seccompiler::{
        BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
        SeccompRule,
    };

    use super::{Files, Sockets};

    /// The newest set of rights that is asked for; an older kernel enforces those that it knows.
    const ABI_KNOWN: ABI = ABI::V5;

    /// Whether it is enforced now.
    pub(super) fn confine_files<P: AsRef<Path>>(files: &Files<P>) -> bool {
        restrict(files).is_ok_and(|status| status != RulesetStatus::NotEnforced)
    }

    fn restrict<P: AsRef<Path>>(files: &Files<P>) -> Result<RulesetStatus, RulesetError> {
        let read: BitFlags<AccessFs> = AccessFs::ReadFile | AccessFs::ReadDir;
        let write = AccessFs::from_all(ABI_KNOWN) & !BitFlags::from(AccessFs::Execute);
        let status = Ruleset::default()
            .handle_access(AccessFs::from_all(ABI_KNOWN))?
            .create()?
            // Of what does not exist nothing is allowed.
            .add_rules(path_beneath_rules(&files.read, read))?
            .add_rules(path_beneath_rules(&files.write, write))?
            .restrict_self()?;
        Ok(status.ruleset)
    }

    pub(super) fn confine_calls(sockets: Sockets) -> bool {
        filter(sockets).is_some_and(|f| seccompiler::apply_filter_all_threads(&f).is_ok())
    }

    pub(super) fn confine_calls_of_this_thread(sockets: Sockets) -> bool {
        filter(sockets).is_some_and(|f| seccompiler::apply_filter(&f).is_ok())
    }

    /// `None` on a machine for which no filter can be made.
    fn filter(sockets: Sockets) -> Option<BpfProgram> {
        let mut refused: BTreeMap<i64, Vec<SeccompRule>> =
            REFUSED.iter().map(|call| (*call, Vec::new())).collect();
        refused.insert(libc::SYS_socket, other_than(families(sockets))?);
        let (allow, deny) = (SeccompAction::Allow, SeccompAction::Errno(libc::EPERM as u32));
        let machine = std::env::consts::ARCH.try_into().ok()?;
        SeccompFilter::new(refused, allow, deny, machine).ok()?.try_into().ok()
    }

    fn families(sockets: Sockets) -> &'static [i32] {
        match sockets {
            Sockets::Open => &[],
            Sockets::Local => &[libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK],
        }
    }

    /// The rules for sockets of none of these families; for all sockets if there is none.
    fn other_than(families: &[i32]) -> Option<Vec<SeccompRule>> {
        let differs = |family: &i32| {
            let (family, length) = (*family as u64, SeccompCmpArgLen::Dword);
            SeccompCondition::new(0, length, SeccompCmpOp::Ne, family).ok()
        };
        if families.is_empty() {
            return Some(Vec::new());
        }
        let conditions: Option<Vec<_>> = families.iter().map(differs).collect();
        Some(vec![SeccompRule::new(conditions?).ok()?])
    }

    /// Neither the relay nor a module has any use for these.
    const REFUSED: &[i64] = &[
        // Other programs.
        libc::SYS_execve,
        libc::SYS_execveat,
        // The memory and descriptors of other processes.
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_pidfd_getfd,
        libc::SYS_kcmp,
        libc::SYS_userfaultfd,
        libc::SYS_perf_event_open,
        libc::SYS_bpf,
        // Calls that no filter sees.
        libc::SYS_io_uring_setup,
        // Keys of the kernel.
        libc::SYS_keyctl,
        libc::SYS_add_key,
        libc::SYS_request_key,
        // The system.
        libc::SYS_mount,
        libc::SYS_umount2,
        libc::SYS_pivot_root,
        libc::SYS_chroot,
        libc::SYS_setns,
        libc::SYS_unshare,
        libc::SYS_open_by_handle_at,
        libc::SYS_init_module,
        libc::SYS_finit_module,
        libc::SYS_delete_module,
        libc::SYS_kexec_load,
        libc::SYS_reboot,
        libc::SYS_swapon,
        libc::SYS_swapoff,
        libc::SYS_acct,
    ];
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use std::fs;
    use std::io::ErrorKind::PermissionDenied;
    use std::net::UdpSocket;
    use std::os::unix::net::UnixDatagram;
    use std::process::Command;

    /// Runs `probe` in a thread that may be confined without the rest of the tests.
    fn alone<T: Send>(probe: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| scope.spawn(probe).join().unwrap())
    }

    #[test]
    fn files_outside_of_what_is_allowed_cannot_be_opened() {
        let dir = tempfile::tempdir().unwrap();
        let [open, shut, written] = ["open", "shut", "written"].map(|name| dir.path().join(name));
        for folder in [&open, &shut, &written] {
            fs::create_dir(folder).unwrap();
            fs::write(folder.join("file"), "content").unwrap();
        }
        alone(|| {
            assert!(fs::read(shut.join("file")).is_ok());
            confine_files(&Files { read: vec![&open], write: vec![&written] });
            assert_eq!(fs::read(shut.join("file")).unwrap_err().kind(), PermissionDenied);
            assert_eq!(fs::read_dir(&shut).unwrap_err().kind(), PermissionDenied);
            assert_eq!(fs::write(shut.join("new"), "").unwrap_err().kind(), PermissionDenied);
            assert!(fs::read(open.join("file")).is_ok());
            assert_eq!(fs::write(open.join("file"), "").unwrap_err().kind(), PermissionDenied);
            assert_eq!(fs::remove_file(open.join("file")).unwrap_err().kind(), PermissionDenied);
            fs::write(written.join("new"), "content").unwrap();
            fs::remove_file(written.join("new")).unwrap();
            // A thread that is started later is confined, too.
            let later = std::thread::spawn({
                let file = shut.join("file");
                move || fs::read(file).unwrap_err().kind()
            });
            assert_eq!(later.join().unwrap(), PermissionDenied);
        });
        assert!(fs::read(shut.join("file")).is_ok(), "the others are not confined");
    }

    #[test]
    fn programs_and_sockets_are_refused_and_the_rest_works() {
        alone(|| {
            assert!(system::confine_calls_of_this_thread(Sockets::Open));
            assert_eq!(Command::new("true").status().unwrap_err().kind(), PermissionDenied);
            assert_eq!(UdpSocket::bind("127.0.0.1:0").unwrap_err().kind(), PermissionDenied);
            assert_eq!(UnixDatagram::unbound().unwrap_err().kind(), PermissionDenied);
            assert!(fs::read_dir("/").is_ok());
        });
        alone(|| {
            assert!(system::confine_calls_of_this_thread(Sockets::Local));
            assert_eq!(Command::new("true").status().unwrap_err().kind(), PermissionDenied);
            assert!(UdpSocket::bind("127.0.0.1:0").is_ok());
            assert!(UnixDatagram::unbound().is_ok());
            let raw = rustix::net::socket(
                rustix::net::AddressFamily::PACKET,
                rustix::net::SocketType::DGRAM,
                None,
            );
            assert_eq!(raw.unwrap_err(), rustix::io::Errno::PERM);
        });
    }

    #[test]
    fn what_is_missing_is_found_out_without_confining_anybody() {
        let missing = missing();
        assert!(missing.iter().all(|name| ["Landlock", "seccomp"].contains(name)), "{missing:?}");
        assert!(Command::new("true").status().unwrap().success());
        assert!(fs::read_dir("/").is_ok());
    }
}
