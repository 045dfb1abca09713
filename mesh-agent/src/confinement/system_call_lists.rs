//! System calls that the agent's processes need after their start, and those that end them.

/// Needed by both processes: memory, threads, time, signals, reading files and directories, messages.
pub(super) const EVERY: &[i64] = &[
    libc::SYS_brk,
    libc::SYS_capget,
    libc::SYS_capset,
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_clone3,
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_dup,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_fcntl,
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    libc::SYS_futex,
    libc::SYS_getdents64,
    libc::SYS_getegid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_getsockname,
    libc::SYS_getsockopt,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_lseek,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_nanosleep,
    libc::SYS_newfstatat,
    libc::SYS_openat,
    libc::SYS_ppoll,
    libc::SYS_prctl,
    libc::SYS_pread64,
    libc::SYS_read,
    libc::SYS_readlinkat,
    libc::SYS_readv,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_set_robust_list,
    libc::SYS_setsockopt,
    libc::SYS_shutdown,
    libc::SYS_sigaltstack,
    libc::SYS_statfs,
    libc::SYS_statx,
    libc::SYS_tgkill,
    libc::SYS_tkill,
    libc::SYS_write,
    libc::SYS_writev,
];

/// Older forms of those, which C libraries use where the processor has them.
#[cfg(target_arch = "x86_64")]
pub(super) const EVERY_OLD: &[i64] = &[
    libc::SYS_access,
    libc::SYS_poll,
    libc::SYS_readlink,
    libc::SYS_stat,
];
#[cfg(not(target_arch = "x86_64"))]
pub(super) const EVERY_OLD: &[i64] = &[];

/// Needed by the daemon: connections, events, watching and writing files, ending the helper.
pub(super) const DAEMON: &[i64] = &[
    libc::SYS_accept4,
    // Sets nothing without CAP_SYS_TIME, which the agent does not hold.
    libc::SYS_adjtimex,
    libc::SYS_bind,
    libc::SYS_clock_adjtime,
    libc::SYS_connect,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_eventfd2,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fdatasync,
    libc::SYS_flock,
    libc::SYS_fsync,
    libc::SYS_ftruncate,
    libc::SYS_getcwd,
    libc::SYS_getpeername,
    libc::SYS_getppid,
    libc::SYS_getrusage,
    libc::SYS_inotify_add_watch,
    libc::SYS_inotify_init1,
    libc::SYS_inotify_rm_watch,
    libc::SYS_kill,
    libc::SYS_listen,
    libc::SYS_mkdirat,
    libc::SYS_pipe2,
    libc::SYS_prlimit64,
    libc::SYS_pwrite64,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_socketpair,
    libc::SYS_sysinfo,
    libc::SYS_umask,
    libc::SYS_uname,
    libc::SYS_unlinkat,
    libc::SYS_wait4,
    libc::SYS_waitid,
];

/// Older forms of those.
#[cfg(target_arch = "x86_64")]
pub(super) const DAEMON_OLD: &[i64] = &[
    libc::SYS_chmod,
    libc::SYS_epoll_wait,
    libc::SYS_lstat,
    libc::SYS_open,
    libc::SYS_mkdir,
    libc::SYS_rename,
    libc::SYS_rmdir,
    libc::SYS_unlink,
];
#[cfg(not(target_arch = "x86_64"))]
pub(super) const DAEMON_OLD: &[i64] = &[];

/// Needed by the namespace helper.
pub(super) const HELPER: &[i64] = &[libc::SYS_bind, libc::SYS_setns];

/// Only an attacker makes these: the process ends.
pub(super) const KILLED: &[i64] = &[
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_clock_settime,
    libc::SYS_delete_module,
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_finit_module,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_init_module,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_mount,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_pivot_root,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_settimeofday,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_umount2,
    libc::SYS_userfaultfd,
];

/// Sockets of the daemon: the API, metrics and health checks, and lists of sockets.
pub(super) const FAMILIES: &[libc::c_int] = &[
    libc::AF_UNIX,
    libc::AF_INET,
    libc::AF_INET6,
    libc::AF_NETLINK,
];
/// Sockets of the helper: lists of sockets, and one to read the cookie of a namespace.
pub(super) const HELPER_FAMILIES: &[libc::c_int] = &[libc::AF_INET, libc::AF_NETLINK];

/// `FIONBIO` for sockets, `FIOCLEX`, `TCGETS` and `TIOCGWINSZ` (is it a terminal?), and
/// `NS_GET_NSTYPE`.
pub(super) const IOCTLS: &[libc::c_int] = &[0x5421, 0x5451, 0x5401, 0x5413, 0xb703];

/// Commands of bpf(2) that use maps, links and programs but neither load nor attach any: numbers of
/// `enum bpf_cmd`.
pub(super) const BPF_COMMANDS: &[libc::c_int] = &[
    1, 2, 3, 4, // elements of maps
    6, 7,  // pins
    10, // BPF_PROG_TEST_RUN, for the program that repairs counts
    15, 16, // information
    21, 24, 25, 26, 27, // elements, in batches
];
