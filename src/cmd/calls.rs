//! Which system calls are left to the serving process, held by the kernel (seccomp(2)).
//!
//! Whoever takes over this process by what a camera or client sent can do with it what a gateway does, and little else:
//! start no program, enter or make no namespace, look at no other process, open no socket but those of UNIX, IPv4 and
//! IPv6, and run nothing that it wrote into memory. What is not listed is answered as if the kernel did not know it, so
//! that a C library goes on without what is too new for the list.

use std::{collections::BTreeMap, env::consts::ARCH, io};

use rustix::io::Errno;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter,
};

/// Why system calls are not limited.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallsError {
    /// The list makes no filter.
    #[error("the filter of system calls cannot be made: {0}; confine = false under [gateway] serves without")]
    Filter(#[from] BackendError),
    /// The kernel has such filters, and does not take this one.
    #[error(
        "the kernel refuses the filter of system calls: {0}; confine = false under [gateway] serves without"
    )]
    Kernel(#[from] seccompiler::Error),
}

/// Gives up all system calls but those listed, for this thread and those that it makes: to be called before there are
/// others. Gives what to say of it in the log.
///
/// # Errors
/// The filter cannot be made, or the kernel refused what it should know.
pub(super) fn limit() -> Result<String, CallsError> {
    let Ok(arch) = TargetArch::try_from(ARCH) else {
        return Ok(format!("NOT LIMITED: system calls of {ARCH} are not listed"));
    };
    let rules = rules()?;
    let count = rules.len();
    match apply_filter(&program(rules, arch)?) {
        Ok(()) => Ok(format!("limited to {count} system calls: no program is started, no namespace entered")),
        Err(seccompiler::Error::Seccomp(error)) if is(&error, &[Errno::NOSYS, Errno::INVAL]) => {
            Ok("NOT LIMITED: this kernel has no filters of system calls (CONFIG_SECCOMP_FILTER)".to_owned())
        }
        Err(seccompiler::Error::Seccomp(error)) if is(&error, &[Errno::PERM]) => Ok(
            "NOT LIMITED: a filter that is in force already forbids it; name seccomp in SystemCallFilter= of the unit"
                .to_owned(),
        ),
        Err(error) => Err(error.into()),
    }
}

fn is(error: &io::Error, either: &[Errno]) -> bool {
    either.iter().any(|it| error.raw_os_error() == Some(it.raw_os_error()))
}

/// For a call of another architecture's the kernel ends the process.
fn program(rules: Rules, arch: TargetArch) -> Result<BpfProgram, BackendError> {
    let unknown = SeccompAction::Errno(Errno::NOSYS.raw_os_error().unsigned_abs());
    SeccompFilter::new(rules, unknown, SeccompAction::Allow, arch)?.try_into()
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Every call that is left, with the conditions under which it is; without any, always.
fn rules() -> Result<Rules, BackendError> {
    let groups = [MEMORY, THREADS, SIGNALS, TIME, FILES, WAITING, NETWORK, OLDER];
    let mut rules: Rules = groups.into_iter().flatten().map(|call| (*call, Vec::new())).collect();
    for call in [libc::SYS_socket, libc::SYS_socketpair] {
        rules.insert(call, one_of(SOCKETS.map(|family| word(0, !0, family)))?);
    }
    // A thread, never a process, and nowhere but where this one is. The flags of `clone3` cannot be seen here; without
    // it a C library takes `clone`.
    rules.insert(libc::SYS_clone, one_of([word(0, THREAD | SPACES, THREAD)])?);
    // What can be written is not run.
    let (never_run, never_written) = (|| word(2, libc::PROT_EXEC, 0), || word(2, libc::PROT_WRITE, 0));
    rules.insert(libc::SYS_mmap, one_of([never_run(), never_written()])?);
    rules.insert(libc::SYS_mprotect, one_of([never_run()])?);
    rules.insert(
        libc::SYS_prctl,
        one_of([libc::PR_SET_NAME, libc::PR_GET_NAME].map(|what| word(0, !0, what)))?,
    );
    Ok(rules)
}

/// Rules of which one has to fit.
fn one_of<const N: usize>(
    conditions: [Result<SeccompCondition, BackendError>; N],
) -> Result<Vec<SeccompRule>, BackendError> {
    conditions.into_iter().map(|it| SeccompRule::new(vec![it?])).collect()
}

/// An argument of 32 bits that has this value where the mask is set.
fn word(argument: u8, mask: libc::c_int, value: libc::c_int) -> Result<SeccompCondition, BackendError> {
    let wide = |it: libc::c_int| u64::from(it.cast_unsigned());
    let masked = SeccompCmpOp::MaskedEq(wide(mask));
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, masked, wide(value))
}

const SOCKETS: [libc::c_int; 3] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6];
const THREAD: libc::c_int = libc::CLONE_THREAD;
/// Namespaces of its own.
const SPACES: libc::c_int = libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET;

/// `mmap` and `mprotect` have conditions.
const MEMORY: &[i64] = &[
    libc::SYS_brk,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    libc::SYS_mincore,
    libc::SYS_mlock,
    libc::SYS_mremap,
    libc::SYS_msync,
    libc::SYS_munlock,
    libc::SYS_munmap,
];

/// Threads, and what a process may know of itself. `clone` and `prctl` have conditions.
const THREADS: &[i64] = &[
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_get_robust_list,
    libc::SYS_getcpu,
    libc::SYS_getegid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getgroups,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_getrandom,
    libc::SYS_getresgid,
    libc::SYS_getresuid,
    libc::SYS_getrusage,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_prlimit64,
    libc::SYS_rseq,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_getparam,
    libc::SYS_sched_getscheduler,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_sysinfo,
    libc::SYS_uname,
];

/// `tgkill` is how a C library aborts.
const SIGNALS: &[i64] = &[
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigpending,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigsuspend,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_sigaltstack,
    libc::SYS_tgkill,
];

const TIME: &[i64] = &[
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_nanosleep,
    libc::SYS_times,
];

/// Which files, Landlock says. Owners are what SQLite sets where root runs it.
const FILES: &[i64] = &[
    libc::SYS_chdir,
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_copy_file_range,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_fadvise64,
    libc::SYS_fallocate,
    libc::SYS_fchdir,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_fcntl,
    libc::SYS_fdatasync,
    libc::SYS_flock,
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    libc::SYS_fsync,
    libc::SYS_ftruncate,
    libc::SYS_getcwd,
    libc::SYS_getdents64,
    libc::SYS_ioctl,
    libc::SYS_linkat,
    libc::SYS_lseek,
    libc::SYS_mkdirat,
    libc::SYS_newfstatat,
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_pipe2,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_preadv2,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_pwritev2,
    libc::SYS_read,
    libc::SYS_readahead,
    libc::SYS_readlinkat,
    libc::SYS_readv,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_sendfile,
    libc::SYS_splice,
    libc::SYS_statfs,
    libc::SYS_statx,
    libc::SYS_symlinkat,
    libc::SYS_sync_file_range,
    libc::SYS_syncfs,
    libc::SYS_truncate,
    libc::SYS_umask,
    libc::SYS_unlinkat,
    libc::SYS_utimensat,
    libc::SYS_write,
    libc::SYS_writev,
];

const WAITING: &[i64] = &[
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_eventfd2,
    libc::SYS_ppoll,
    libc::SYS_pselect6,
];

/// `socket` and `socketpair` have conditions.
const NETWORK: &[i64] = &[
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_bind,
    libc::SYS_connect,
    libc::SYS_getpeername,
    libc::SYS_getsockname,
    libc::SYS_getsockopt,
    libc::SYS_listen,
    libc::SYS_recvfrom,
    libc::SYS_recvmmsg,
    libc::SYS_recvmsg,
    libc::SYS_sendmmsg,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_setsockopt,
    libc::SYS_shutdown,
];

/// What newer architectures do not have any more.
#[cfg(target_arch = "x86_64")]
const OLDER: &[i64] = &[
    libc::SYS_access,
    libc::SYS_arch_prctl,
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_creat,
    libc::SYS_dup2,
    libc::SYS_epoll_create,
    libc::SYS_epoll_wait,
    libc::SYS_eventfd,
    libc::SYS_getrlimit,
    libc::SYS_link,
    libc::SYS_lstat,
    libc::SYS_mkdir,
    libc::SYS_open,
    libc::SYS_pipe,
    libc::SYS_poll,
    libc::SYS_readlink,
    libc::SYS_rename,
    libc::SYS_rmdir,
    libc::SYS_select,
    libc::SYS_stat,
    libc::SYS_symlink,
    libc::SYS_time,
    libc::SYS_unlink,
    libc::SYS_utimes,
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[i64] = &[];

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, File},
        io::{Read, Write},
        net::{Ipv4Addr, TcpListener, TcpStream},
        os::fd::AsFd,
        process::Command,
        thread,
    };

    use rustix::{
        net::{AddressFamily, SocketType, socket},
        thread::{LinkNameSpaceType, move_into_link_name_space},
    };
    use seccompiler::sock_filter;

    use super::*;

    const ALLOWED: u32 = 0x7fff_0000;
    const UNKNOWN: u32 = 0x0005_0000 | 38;
    const ENDED: u32 = 0x8000_0000;
    const OWN: u32 = if cfg!(target_arch = "x86_64") { 0xc000_003e } else { 0xc000_00b7 };

    /// What the kernel answers: the program carried out over what it is shown of a call (`struct seccomp_data`).
    fn answer(program: &[sock_filter], arch: u32, call: i64, arguments: &[libc::c_int]) -> u32 {
        let mut shown = [0; 64];
        shown[..4].copy_from_slice(&u32::try_from(call).unwrap().to_le_bytes());
        shown[4..8].copy_from_slice(&arch.to_le_bytes());
        for (at, argument) in arguments.iter().enumerate() {
            shown[16 + 8 * at..20 + 8 * at].copy_from_slice(&argument.to_le_bytes());
        }
        let (mut at, mut word) = (0, 0_u32);
        loop {
            let step = &program[at];
            let jump = |taken: bool| usize::from(if taken { step.jt } else { step.jf });
            at += 1;
            // Loads, jumps, `and` and return (linux/filter.h).
            match step.code {
                0x20 => {
                    let from = usize::try_from(step.k).unwrap();
                    word = u32::from_le_bytes(shown[from..from + 4].try_into().unwrap());
                }
                0x05 => at += usize::try_from(step.k).unwrap(),
                0x15 => at += jump(word == step.k),
                0x25 => at += jump(word > step.k),
                0x35 => at += jump(word >= step.k),
                0x54 => word &= step.k,
                0x06 => return step.k,
                code => panic!("{code:#x}"),
            }
        }
    }

    #[test]
    fn what_no_gateway_does_is_unknown_to_the_kernel() {
        let program = program(rules().unwrap(), TargetArch::try_from(ARCH).unwrap()).unwrap();
        let is = |call: i64, arguments: &[libc::c_int]| answer(&program, OWN, call, arguments);
        for call in [
            libc::SYS_execve,
            libc::SYS_execveat,
            libc::SYS_clone3,
            libc::SYS_setns,
            libc::SYS_unshare,
            libc::SYS_mount,
            libc::SYS_open_tree,
            libc::SYS_move_mount,
            libc::SYS_pivot_root,
            libc::SYS_chroot,
            libc::SYS_ptrace,
            libc::SYS_process_vm_readv,
            libc::SYS_process_vm_writev,
            libc::SYS_pidfd_open,
            libc::SYS_pidfd_getfd,
            libc::SYS_kill,
            libc::SYS_bpf,
            libc::SYS_perf_event_open,
            libc::SYS_io_uring_setup,
            libc::SYS_userfaultfd,
            libc::SYS_memfd_create,
            libc::SYS_open_by_handle_at,
            libc::SYS_init_module,
            libc::SYS_finit_module,
            libc::SYS_kexec_load,
            libc::SYS_keyctl,
            libc::SYS_capset,
            libc::SYS_setuid,
            libc::SYS_settimeofday,
            libc::SYS_clock_settime,
            libc::SYS_reboot,
            libc::SYS_personality,
            libc::SYS_pkey_mprotect,
            libc::SYS_shmat,
            libc::SYS_mknodat,
        ] {
            assert_eq!(is(call, &[]), UNKNOWN, "system call {call}");
        }
        let threads = libc::CLONE_VM | libc::CLONE_FS | libc::CLONE_FILES | libc::CLONE_SIGHAND | THREAD;
        let (read, write, run) = (libc::PROT_READ, libc::PROT_WRITE, libc::PROT_EXEC);
        for (name, call, arguments, expected) in [
            ("a thread", libc::SYS_clone, &[threads][..], ALLOWED),
            ("a process", libc::SYS_clone, &[libc::SIGCHLD], UNKNOWN),
            ("a thread in a network of its own", libc::SYS_clone, &[threads | libc::CLONE_NEWNET], UNKNOWN),
            ("a socket of IPv4", libc::SYS_socket, &[libc::AF_INET], ALLOWED),
            ("a socket of IPv6", libc::SYS_socket, &[libc::AF_INET6], ALLOWED),
            ("a pair of sockets", libc::SYS_socketpair, &[libc::AF_UNIX], ALLOWED),
            ("frames", libc::SYS_socket, &[libc::AF_PACKET], UNKNOWN),
            ("routes", libc::SYS_socket, &[libc::AF_NETLINK], UNKNOWN),
            ("the hypervisor", libc::SYS_socket, &[libc::AF_VSOCK], UNKNOWN),
            ("the kernel's ciphers", libc::SYS_socket, &[libc::AF_ALG], UNKNOWN),
            ("memory", libc::SYS_mmap, &[0, 4_096, read | write], ALLOWED),
            ("a library", libc::SYS_mmap, &[0, 4_096, read | run], ALLOWED),
            ("memory to write and run", libc::SYS_mmap, &[0, 4_096, read | write | run], UNKNOWN),
            ("memory that is written no more", libc::SYS_mprotect, &[0, 4_096, read], ALLOWED),
            ("memory that is run from now on", libc::SYS_mprotect, &[0, 4_096, read | run], UNKNOWN),
            ("a thread's name", libc::SYS_prctl, &[libc::PR_SET_NAME], ALLOWED),
            ("who may trace it", libc::SYS_prctl, &[libc::PR_SET_PTRACER], UNKNOWN),
            ("a file", libc::SYS_openat, &[libc::AT_FDCWD], ALLOWED),
            // The numbers of x86-64's calls with pointers of 32 bits.
            ("a file, otherwise", libc::SYS_openat | 0x4000_0000, &[libc::AT_FDCWD], UNKNOWN),
        ] {
            assert_eq!(is(call, arguments), expected, "{name}");
        }
        assert_eq!(answer(&program, 0x4000_0003, 11, &[]), ENDED, "a call of another architecture's");
    }

    #[test]
    fn a_limited_thread_serves_and_starts_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let names = File::open("/proc/self/ns/net").unwrap();
        // The kernel limits the thread that asks for it, and those that it makes.
        let limited = thread::spawn(move || {
            let said = limit().unwrap();
            if said.starts_with("NOT LIMITED") {
                return said;
            }
            let file = dir.path().join("file");
            fs::write(&file, "text").unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), "text");
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let address = listener.local_addr().unwrap();
            let peer =
                thread::spawn(move || TcpStream::connect(address).unwrap().write_all(b"said").unwrap());
            let mut heard = String::new();
            listener.accept().unwrap().0.read_to_string(&mut heard).unwrap();
            peer.join().unwrap();
            assert_eq!(heard, "said");
            let unknown = |error: io::Error| error.raw_os_error() == Some(Errno::NOSYS.raw_os_error());
            assert!(unknown(Command::new("true").spawn().unwrap_err()), "a program");
            assert!(
                unknown(socket(AddressFamily::PACKET, SocketType::RAW, None).unwrap_err().into()),
                "frames"
            );
            let moved = move_into_link_name_space(names.as_fd(), Some(LinkNameSpaceType::Network));
            assert!(unknown(moved.unwrap_err().into()), "a namespace");
            said
        });
        let said = limited.join().unwrap();
        assert!(said.starts_with("limited to ") || said.starts_with("NOT LIMITED: "), "{said}");
    }
}
