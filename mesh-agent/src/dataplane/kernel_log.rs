//! Decisions that the kernel programs log through aya-log, in builds with the feature `kernel-log`.

use std::{
    net::{IpAddr, SocketAddr},
    os::fd::{AsFd as _, OwnedFd},
};

use anyhow::Context as _;
use aya::Ebpf;
use aya_log::EbpfLogger;
use log::{Log, Metadata, Record};
use mesh_common::{abi::FrontendKey, addr::Addr};

/// How a connect or a datagram to a service was answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Decision {
    /// The service address that the program asked for.
    pub frontend: FrontendKey,
    /// The endpoint, or none where the call was refused.
    pub endpoint: Option<SocketAddr>,
}

impl Decision {
    /// Reads the text that `mesh-ebpf/src/log.rs` makes: protocol, address and port of the service,
    /// address and port of the endpoint.
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let protocol = words.next()?.parse().ok()?;
        let mut address = || -> Option<SocketAddr> {
            let ip: IpAddr = words.next()?.parse().ok()?;
            Some(SocketAddr::new(
                ip.to_canonical(),
                words.next()?.parse().ok()?,
            ))
        };
        let (service, endpoint) = (address()?, address()?);
        let frontend = FrontendKey {
            addr: Addr::from(service.ip()),
            port: service.port().to_be(),
            protocol,
            pad: 0,
        };
        Some(Self {
            frontend,
            endpoint: Some(endpoint).filter(|endpoint| endpoint.port() != 0),
        })
    }
}

/// Reads the log of the programs.
pub struct KernelLog<F>(EbpfLogger<Sink<F>>);

struct Sink<F>(F);

impl<F: Fn(Decision) + Send + Sync> Log for Sink<F> {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        if let Some(decision) = Decision::parse(&record.args().to_string()) {
            (self.0)(decision);
        }
    }

    fn flush(&self) {}
}

impl<F: Fn(Decision) + Send + Sync> KernelLog<F> {
    /// Takes the log of these programs. Each decision goes to `tell`.
    pub(super) fn new(programs: &mut Ebpf, tell: F) -> anyhow::Result<Self> {
        EbpfLogger::init_with_logger(programs, Sink(tell))
            .map(Self)
            .context("cannot read the log of the kernel programs")
    }

    /// Returns a descriptor that is readable when there are decisions to [tell](Self::flush).
    pub fn descriptor(&self) -> anyhow::Result<OwnedFd> {
        Ok(self.0.as_fd().try_clone_to_owned()?)
    }

    /// Tells the decisions that were logged since the last call.
    pub fn flush(&mut self) {
        self.0.flush();
    }
}

#[cfg(test)]
mod tests {
    use mesh_common::abi::protocol;

    use super::*;

    #[test]
    fn decisions_are_read() {
        let frontend = FrontendKey {
            addr: Addr::from(IpAddr::from([10, 96, 0, 1])),
            port: 80_u16.to_be(),
            protocol: protocol::TCP,
            pad: 0,
        };
        let answered = Decision {
            frontend,
            endpoint: Some("10.0.0.1:8080".parse().expect("an address")),
        };
        let text = "6 ::ffff:10.96.0.1 80 ::ffff:10.0.0.1 8080";
        assert_eq!(Decision::parse(text), Some(answered));
        let refused = Decision {
            endpoint: None,
            ..answered
        };
        assert_eq!(Decision::parse("6 ::ffff:10.96.0.1 80 :: 0"), Some(refused));
        for wrong in [
            "",
            "6",
            "6 ::ffff:10.96.0.1 80",
            "6 x 80 :: 0",
            "6 :: 80 :: 70000",
        ] {
            assert_eq!(Decision::parse(wrong), None, "{wrong}");
        }
    }
}
