use std::ptr;

use nix::{
    sys::{
        prctl,
        signal::Signal,
        wait::{WaitStatus, waitpid},
    },
    unistd::{ForkResult, fork},
};

use super::*;

/// Runs a system call in a child under these filters: its error number (0 for success), or the
/// signal that ended the child.
fn under(filters: &Filters, call: impl Fn() -> libc::c_long) -> Result<i32, Signal> {
    prctl::set_no_new_privs().unwrap();
    // SAFETY: the child makes system calls only.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            let code = match filters.install() {
                Err(_) => 255,
                Ok(()) if call() >= 0 => 0,
                Ok(()) => io::Error::last_os_error().raw_os_error().unwrap_or(254),
            };
            // SAFETY: ends the child without destructors of its parent.
            unsafe { libc::_exit(code) }
        }
        ForkResult::Parent { child } => match waitpid(child, None).unwrap() {
            WaitStatus::Exited(_, code) => Ok(code),
            WaitStatus::Signaled(_, signal, _) => Err(signal),
            status => panic!("{status:?}"),
        },
    }
}

/// Makes a system call with numbers as arguments.
fn call(number: i64, arguments: [i64; 4]) -> libc::c_long {
    let [a, b, c, d] = arguments;
    // SAFETY: the tests pass no addresses, except those that are invalid on purpose.
    unsafe { libc::syscall(number, a, b, c, d) }
}

fn both() -> [Filters; 2] {
    [Filters::daemon().unwrap(), Filters::helper().unwrap()]
}

#[test]
fn hostile_calls_end_the_process() {
    let calls = [
        libc::SYS_execve,
        libc::SYS_execveat,
        libc::SYS_ptrace,
        libc::SYS_mount,
        libc::SYS_init_module,
        libc::SYS_finit_module,
        libc::SYS_kexec_load,
        libc::SYS_process_vm_writev,
        libc::SYS_reboot,
    ];
    for filters in both() {
        for number in calls {
            let ended = under(&filters, || call(number, [-1; 4]));
            assert_eq!(ended, Err(Signal::SIGSYS), "{number}");
        }
    }
}

#[test]
fn calls_that_are_not_on_the_list_fail() {
    for filters in both() {
        let calls = [
            (libc::SYS_unshare, [i64::from(libc::CLONE_NEWNS), 0, 0, 0]),
            (libc::SYS_chroot, [0; 4]),
            (libc::SYS_io_uring_setup, [1, 0, 0, 0]),
            (libc::SYS_personality, [0; 4]),
            // A process instead of a thread.
            (libc::SYS_clone, [i64::from(libc::SIGCHLD), 0, 0, 0]),
        ];
        for (number, arguments) in calls {
            let refused = under(&filters, || call(number, arguments));
            assert_eq!(refused, Ok(libc::EPERM), "{number}");
        }
        let refused = under(&filters, || call(libc::SYS_clone3, [0; 4]));
        assert_eq!(refused, Ok(libc::ENOSYS), "so that clone(2) is used");
    }
}

#[test]
fn arguments_that_no_part_needs_are_refused() {
    let page = |protection: libc::c_int| {
        // SAFETY: a new mapping.
        let at = unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            libc::mmap(ptr::null_mut(), 4096, protection, flags, -1, 0)
        };
        if at == libc::MAP_FAILED { -1 } else { 0 }
    };
    let [daemon, helper] = both();
    for filters in [&daemon, &helper] {
        assert_eq!(
            under(filters, || page(libc::PROT_READ | libc::PROT_WRITE)),
            Ok(0)
        );
        assert_eq!(
            under(filters, || page(libc::PROT_READ | libc::PROT_EXEC)),
            Ok(libc::EPERM)
        );
        let packets = [
            i64::from(libc::AF_PACKET),
            i64::from(libc::SOCK_DGRAM),
            0,
            0,
        ];
        assert_eq!(
            under(filters, || call(libc::SYS_socket, packets)),
            Ok(libc::EPERM)
        );
        let diag = [
            i64::from(libc::AF_NETLINK),
            i64::from(libc::SOCK_DGRAM),
            4,
            0,
        ];
        assert_eq!(under(filters, || call(libc::SYS_socket, diag)), Ok(0));
    }
    let [look_up, load] = [1, 5].map(|command| move || call(libc::SYS_bpf, [command, 0, 0, 0]));
    assert_eq!(under(&daemon, load), Ok(libc::EPERM));
    assert_ne!(under(&daemon, look_up), Ok(libc::EPERM));
    assert_eq!(under(&helper, look_up), Ok(libc::EPERM));
}

#[test]
fn only_the_helper_enters_namespaces_and_it_opens_no_files_to_write() {
    let [daemon, helper] = both();
    let enter = || call(libc::SYS_setns, [-1, 0, 0, 0]);
    assert_eq!(under(&daemon, enter), Ok(libc::EPERM));
    assert_eq!(under(&helper, enter), Ok(libc::EBADF));
    let open = |flags: libc::c_int| {
        let path = c"/dev/null".as_ptr().addr();
        let path = i64::try_from(path).unwrap();
        call(
            libc::SYS_openat,
            [libc::AT_FDCWD.into(), path, flags.into(), 0],
        )
    };
    assert_eq!(under(&helper, || open(libc::O_RDONLY)), Ok(0));
    for flags in [libc::O_WRONLY, libc::O_RDWR, libc::O_CREAT, libc::O_TRUNC] {
        assert_eq!(under(&helper, || open(flags)), Ok(libc::EPERM), "{flags:o}");
        assert_eq!(under(&daemon, || open(flags)), Ok(0), "{flags:o}");
    }
    for number in [libc::SYS_unlinkat, libc::SYS_renameat2, libc::SYS_fchmod] {
        assert_eq!(under(&helper, || call(number, [-1; 4])), Ok(libc::EPERM));
    }
}
