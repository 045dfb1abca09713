//! `meshctl backend`

mod list;
mod command;
mod wait;

pub(super) use self::command::Error;
use super::{Exit, Failure, service_name::NameArg, session::Session, watch::Watch};

/// Show and control backends: endpoints as the kernel uses them
#[derive(clap::Subcommand)]
#[command(after_long_help = "\
Examples:
  meshctl backend list                           all backends
  meshctl backend list shop/cart                 backends of one service
  meshctl backend drain shop/cart 10.0.0.1:8080  send no new connections there
  meshctl backend weight shop/cart 10.0.0.1 5    change the share of connections")]
pub(super) enum Verb {
    /// List backends, their load and their state
    ///
    /// STATE is `active` while the backend gets new connections. Otherwise it is the reason why
    /// not: `draining`, `ejected 8s` after failed connects, `ejected, on trial` while one connect
    /// tries it, `unhealthy` by its health check, `terminating`, `notReady`, `not on this node`,
    /// `no IPv6 service address`, or `inactive` (weight 0). CONNECTIONS are open now, from this
    /// node; CONNECTING are those that are not established yet. FAILURES is the number of failed
    /// connects in a row, CONNECTS the number of all connects that got this backend. HANDSHAKE is a
    /// moving average of the time to connect. WEIGHT is `1 of 2` while the weight in force differs
    /// from the configured one. Columns without a value are left out.
    #[command(after_long_help = "\
Examples:
  meshctl backend list                 all backends
  meshctl backend list shop/cart       backends of one service
  meshctl backend list -n shop -w      backends of one namespace, every second
  meshctl backend list -o json | jq '.[] | select(.active | not)'
                                       backends that get no new connections
  meshctl backend list -o json | jq '.[] | select(.ejectedForSeconds)'
                                       backends whose connects failed")]
    #[command(visible_aliases = ["get", "describe"], alias = "ls")]
    List {
        /// NAME or NAMESPACE/NAME
        service: Option<NameArg>,
        #[command(flatten)]
        watch: Watch,
    },
    /// Send no new connections to an endpoint; open connections go on
    ///
    /// Holds on this node until `undrain`, also over restarts of the agent and the node. The last
    /// active endpoint of a service needs --force. With --wait the exit code is 0 as soon as no
    /// connection is left, and 1 when some are left at the deadline.
    #[command(after_long_help = "\
Examples:
  meshctl backend drain shop/cart 10.0.0.1:8080
  meshctl backend drain shop/cart 10.0.0.1 --port http
                                       the endpoint at that address behind port `http`
  meshctl backend drain shop/cart 10.0.0.1:8080 --wait --deadline 5m && reboot
                                       reboot when no connection is left")]
    Drain {
        #[command(flatten)]
        endpoint: command::Endpoint,
        /// Return when no connection is left
        #[arg(long)]
        wait: bool,
        /// Longest wait with --wait, like 30s or 5m [default: 60s]
        #[arg(long, value_name = "TIME", value_parser = wait::deadline)]
        deadline: Option<std::time::Duration>,
        /// Drain the endpoint even if it is the last active one
        #[arg(long)]
        force: bool,
    },
    /// Send new connections to an endpoint again
    #[command(after_long_help = "\
Examples:
  meshctl backend undrain shop/cart 10.0.0.1:8080")]
    Undrain {
        #[command(flatten)]
        endpoint: command::Endpoint,
    },
    /// Override the configured weight of an endpoint
    ///
    /// Holds on this node until the weight is set to `default`, also over restarts of the agent and
    /// the node. An endpoint with weight 0 gets no new connections.
    #[command(after_long_help = "\
Examples:
  meshctl backend weight shop/cart 10.0.0.1:8080 5
  meshctl backend weight shop/cart 10.0.0.1:8080 default
                                       the configured weight")]
    Weight {
        #[command(flatten)]
        endpoint: command::Endpoint,
        /// A number up to 65535, or `default`
        #[arg(value_parser = command::weight, allow_negative_numbers = true)]
        weight: command::Weight,
        /// Set weight 0 even if the endpoint is the last active one
        #[arg(long)]
        force: bool,
    },
}

pub(super) async fn run(session: &mut Session<'_>, verb: Verb) -> Result<Exit, Failure> {
    use crate::api::types::Change;

    match verb {
        Verb::List { service, watch } => list::run(session, service.as_ref(), &watch).await,
        Verb::Drain {
            endpoint,
            wait,
            deadline,
            force,
        } => {
            let wait = match (wait, deadline) {
                (true, deadline) => Some(deadline.unwrap_or(wait::DEADLINE)),
                (false, None) => None,
                (false, Some(_)) => return Err(Error::DeadlineAlone.into()),
            };
            command::drain(session, &endpoint, force, wait).await
        }
        Verb::Undrain { endpoint } => {
            command::run(session, &endpoint, Change::Undrain, false).await
        }
        Verb::Weight {
            endpoint,
            weight: command::Weight(weight),
            force,
        } => command::run(session, &endpoint, Change::Weight(weight), force).await,
    }
}
