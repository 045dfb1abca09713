//! Logs the decisions of the hooks through aya-log. Only in builds with the feature `kernel-log`: in
//! others [`decided`] is empty.

use mesh_common::{abi::FrontendKey, connect::Verdict};

/// Logs the answer to a connect or a datagram that asked for a service at `dest`.
#[cfg(not(feature = "kernel-log"))]
#[inline(always)]
pub const fn decided(_dest: &FrontendKey, _verdict: &Verdict) {}

#[cfg(feature = "kernel-log")]
pub use enabled::decided;

#[cfg(feature = "kernel-log")]
mod enabled {
    use aya_log_ebpf::debug;

    use super::{FrontendKey, Verdict};

    /// The address of a service and its answer, in words that a function for all hooks can be given.
    #[repr(C)]
    struct Decision {
        service: FrontendKey,
        /// The endpoint; all zero where the call was refused.
        endpoint: FrontendKey,
    }

    /// Logs the answer to a connect or a datagram that asked for a service at `dest`.
    #[inline(always)]
    pub fn decided(dest: &FrontendKey, verdict: &Verdict) {
        let endpoint = match *verdict {
            Verdict::Untouched => return,
            Verdict::Refused => bytemuck::Zeroable::zeroed(),
            Verdict::Backend { addr, port } => FrontendKey {
                addr,
                port,
                ..*dest
            },
        };
        log(&Decision {
            service: *dest,
            endpoint,
        });
    }

    /// A function that others may call, so that its record needs no room on the stack of the hooks.
    ///
    /// The agent reads the text again: protocol, address and port of the service, address and port
    /// of the endpoint.
    #[unsafe(no_mangle)]
    #[inline(never)]
    extern "C" fn log(decision: *const Decision) -> u32 {
        // SAFETY: callers pass one; the verifier wants to see that it is there.
        let Some(Decision { service, endpoint }) = (unsafe { decision.as_ref() }) else {
            return 0;
        };
        let octets = |key: &FrontendKey| bytemuck::cast::<_, [u8; 16]>(key.addr.v6_words());
        debug!(
            (),
            "{} {:i} {} {:i} {}",
            service.protocol,
            octets(service),
            u16::from_be(service.port),
            octets(endpoint),
            u16::from_be(endpoint.port)
        );
        1
    }
}
