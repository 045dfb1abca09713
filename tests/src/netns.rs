//! A private network namespace with only a loopback device.

use std::{
    fs::File,
    io,
    mem::zeroed,
    net::UdpSocket,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    path::PathBuf,
    process, thread,
};

use nix::sched::{CloneFlags, setns, unshare};

/// A namespace without a name. The kernel removes it with the last reference, also when the test is
/// killed.
pub struct Netns {
    file: File,
}

impl Netns {
    /// Loopback is up: 127.0.0.0/8 and ::1 work, everything else is unreachable.
    pub fn new() -> Self {
        on_a_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("root may create network namespaces");
            raise_loopback().expect("a new network namespace has a loopback device");
            Self {
                file: File::open("/proc/thread-self/ns/net").expect("/proc is mounted"),
            }
        })
    }

    /// Runs `work` inside the namespace. Sockets and threads created there stay inside.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        on_a_thread(|| {
            self.enter()
                .expect("the namespace exists for as long as its descriptor");
            work()
        })
    }

    /// Moves the calling thread into the namespace. Makes only a system call, so it may run between
    /// fork and exec.
    pub fn enter(&self) -> io::Result<()> {
        Ok(setns(&self.file, CloneFlags::CLONE_NEWNET)?)
    }

    /// Path by which other processes of this user reach the namespace.
    pub fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", process::id(), self.file.as_raw_fd()).into()
    }
}

impl Default for Netns {
    fn default() -> Self {
        Self::new()
    }
}

impl AsFd for Netns {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Runs on its own thread, because a thread may fail to return to its namespace.
fn on_a_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| match scope.spawn(work).join() {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// Sets loopback up, like `ip link set lo up`.
fn raise_loopback() -> io::Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    // SAFETY: all bytes zero is a valid `ifreq`.
    let mut request: libc::ifreq = unsafe { zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags = libc::c_short::try_from(libc::IFF_UP).expect("IFF_UP is 1");
    // SAFETY: SIOCSIFFLAGS reads an `ifreq`, which outlives the call.
    match unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
