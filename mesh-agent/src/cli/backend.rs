//! `meshctl backend`

mod list;
mod order;
mod wait;

pub(super) use self::order::Error;
use super::{Exit, Failure, name::NameArg, session::Session, watch::Watch};

/// Backends: the endpoints as the kernel uses them
#[derive(clap::Subcommand)]
#[command(after_long_help = "\
Examples:
  meshctl backend list                           all backends
  meshctl backend list shop/cart                 those of one service
  meshctl backend drain shop/cart 10.0.0.1:8080  send no new connections there
  meshctl backend weight shop/cart 10.0.0.1 5    send more, or fewer")]
pub(super) enum Verb {
    /// List backends, their load and their state
    ///
    /// STATE is `active` while new connections are sent there, or why not: `draining`, `ejected 8s` after failed
    /// connects, `ejected, on trial` while one connect tries it, `unhealthy` by its health check, `terminating`,
    /// `notReady`, `not on this node`, `no IPv6 service address`, or `inactive` (weight 0). CONNECTIONS are open now, from this node; CONNECTING those of them that are not established yet. FAILURES counts
    /// connects that failed in a row, CONNECTS all that were answered with it. HANDSHAKE is a moving average of the
    /// time to connect. WEIGHT is `1 of 2` while it is not the configured one. Columns without a value are left out.
    #[command(after_long_help = "\
Examples:
  meshctl backend list                 all backends
  meshctl backend list shop/cart       those of one service
  meshctl backend list -n shop -w      those of one namespace, again every second
  meshctl backend list -o json | jq '.[] | select(.active | not)'
                                       backends that are left out
  meshctl backend list -o json | jq '.[] | select(.ejectedForSeconds)'
                                       backends whose connects failed")]
    #[command(visible_aliases = ["get", "describe"], alias = "ls")]
    List {
        /// NAME or NAMESPACE/NAME
        service: Option<NameArg>,
        #[command(flatten)]
        watch: Watch,
    },
    /// Send no new connections to an endpoint; those that are open go on
    ///
    /// Holds until `undrain`, restarts of the agent and the node included, on this node only. The last active endpoint of
    /// a service is drained only by --force. With --wait the exit code is 0 as soon as no connection is left, and 1 when
    /// some are at the deadline.
    #[command(after_long_help = "\
Examples:
  meshctl backend drain shop/cart 10.0.0.1:8080
  meshctl backend drain shop/cart 10.0.0.1 --port http
                                       the endpoint at that address behind port `http`
  meshctl backend drain shop/cart 10.0.0.1:8080 --wait --deadline 5m && reboot
                                       when no connection is left")]
    Drain {
        #[command(flatten)]
        endpoint: order::Endpoint,
        /// Return when no connection is left
        #[arg(long)]
        wait: bool,
        /// With --wait: wait no longer than this, like 30s or 5m [default: 60s]
        #[arg(long, value_name = "TIME", value_parser = wait::deadline)]
        deadline: Option<std::time::Duration>,
        /// Even if it is the last one
        #[arg(long)]
        force: bool,
    },
    /// Send new connections to an endpoint again
    #[command(after_long_help = "\
Examples:
  meshctl backend undrain shop/cart 10.0.0.1:8080")]
    Undrain {
        #[command(flatten)]
        endpoint: order::Endpoint,
    },
    /// Give an endpoint another weight than the configured one
    ///
    /// Holds until it is `default` again, restarts of the agent and the node included, on this node only. Weight 0 takes
    /// no new connections.
    #[command(after_long_help = "\
Examples:
  meshctl backend weight shop/cart 10.0.0.1:8080 5
  meshctl backend weight shop/cart 10.0.0.1:8080 default
                                       as configured")]
    Weight {
        #[command(flatten)]
        endpoint: order::Endpoint,
        /// A number up to 65535, or `default`
        #[arg(value_parser = order::weight, allow_negative_numbers = true)]
        weight: order::Weight,
        /// Even if it is 0 and the endpoint is the last one
        #[arg(long)]
        force: bool,
    },
}

pub(super) async fn run(session: &mut Session<'_>, verb: Verb) -> Result<Exit, Failure> {
    use crate::api::types::Change;

    match verb {
        Verb::List { service, watch } => list::run(session, service.as_ref(), &watch).await,
        Verb::Drain { endpoint, wait, deadline, force } => {
            let wait = match (wait, deadline) {
                (true, deadline) => Some(deadline.unwrap_or(wait::DEADLINE)),
                (false, None) => None,
                (false, Some(_)) => return Err(Error::DeadlineAlone.into()),
            };
            order::drain(session, &endpoint, force, wait).await
        }
        Verb::Undrain { endpoint } => order::run(session, &endpoint, Change::Undrain, false).await,
        Verb::Weight { endpoint, weight: order::Weight(weight), force } => {
            order::run(session, &endpoint, Change::Weight(weight), force).await
        }
    }
}
