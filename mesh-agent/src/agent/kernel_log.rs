//! Shows what the kernel programs log, with the names of services. Only in builds with the feature
//! `kernel-log`.

use mesh_common::abi::FrontendKey;
use tokio::io::{Interest, unix::AsyncFd};
use tracing::{debug, warn};

use super::context::Context;
use crate::{
    dataplane::{kernel::Kernel, kernel_log::Decision},
    desired::Tables,
};

/// Logs each decision until `stop`.
pub(super) fn run(
    context: &Context,
    kernel: &mut Kernel,
) -> anyhow::Result<impl Future<Output = ()> + use<>> {
    let (snapshots, stop) = (context.snapshots.clone(), context.life.stop.clone());
    let mut log =
        kernel.take_log(move |decision| log_decision(&snapshots.borrow().tables, decision))?;
    let descriptor = log.descriptor()?;
    Ok(async move {
        // SAFETY: the descriptor is owned, stays the same, and is closed after it is deregistered.
        let registered = unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) };
        let readable = match registered {
            Ok(readable) => readable,
            Err(error) => return warn!("cannot read the log of the kernel programs: {error}"),
        };
        while let Some(Ok(mut guard)) = stop.run_until_cancelled(readable.readable()).await {
            log.flush();
            guard.clear_ready();
        }
    })
}

fn log_decision(tables: &Tables, Decision { frontend, endpoint }: Decision) {
    let service = name(tables, &frontend);
    match endpoint {
        Some(endpoint) => debug!(service, %endpoint, "connect answered"),
        None => debug!(service, "connect refused"),
    }
}

/// Returns the service port at an address, like `shop/cart:80/TCP`, or the address where the
/// service is gone by now.
fn name(tables: &Tables, frontend: &FrontendKey) -> String {
    let row = tables.services.get(frontend);
    match row.and_then(|row| tables.names.get(&row.id)) {
        Some(name) => name.clone(),
        None => format!("{}:{}", frontend.addr, u16::from_be(frontend.port)),
    }
}
