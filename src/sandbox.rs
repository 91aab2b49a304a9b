//! Confines this process to the files and system calls that its work needs, by Landlock and
//! seccomp.
//!
//! If the kernel lacks one of them, the process runs without it; [`missing`] reports that.

use std::path::Path;

/// The files that a confined process may use. No other can be opened.
#[derive(Debug)]
pub struct Files<P> {
    /// Below these, files may be read.
    pub read: Vec<P>,
    /// Below these, files may also be created, written and removed.
    pub write: Vec<P>,
}

/// The sockets that a confined process may still create. Those it has stay open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sockets {
    /// None; listening sockets still accept.
    Open,
    /// IP, Unix and netlink sockets; name look-ups need the last.
    Local,
}

/// Confines this thread, and threads that it starts later, to `files`. Without Landlock it does
/// nothing.
pub fn confine_files<P: AsRef<Path>>(files: &Files<P>) {
    let _ = system::confine_files(files);
}

/// Forbids all threads of this process, for good, the system calls that start or inspect other
/// programs or change the system, and all sockets except `sockets`. They fail with a permission
/// error. Without seccomp it does nothing.
pub fn confine_calls(sockets: Sockets) {
    let _ = system::confine_calls(sockets);
}

/// The names of the mechanisms that this kernel lacks. It is tested in a thread of its own, which
/// is confined by that.
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

    /// The newest set of rights that is requested; an older kernel enforces those that it has.
    const ABI_KNOWN: ABI = ABI::V5;

    /// Whether it is enforced.
    pub(super) fn confine_files<P: AsRef<Path>>(files: &Files<P>) -> bool {
        restrict(files).is_ok_and(|status| status != RulesetStatus::NotEnforced)
    }

    fn restrict<P: AsRef<Path>>(files: &Files<P>) -> Result<RulesetStatus, RulesetError> {
        let read: BitFlags<AccessFs> = AccessFs::ReadFile | AccessFs::ReadDir;
        let write = AccessFs::from_all(ABI_KNOWN) & !BitFlags::from(AccessFs::Execute);
        let status = Ruleset::default()
            .handle_access(AccessFs::from_all(ABI_KNOWN))?
            .create()?
            // A path that does not exist is skipped.
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

    /// The filter; `None` on a machine without support.
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

    /// The rules for sockets outside these families; all sockets if there are none.
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

    /// System calls that neither the relay nor a module needs.
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
        // Calls through it bypass the filter.
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

    /// Runs `probe` in a thread, so that only that is confined.
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
            // A thread that is started later is confined too.
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
