//! The reasons why an endpoint takes no new connections of this node, with their words. What the
//! kernel's row, the API and the metrics say follows from them.

use mesh_common::abi::backend_state;

use super::frontends::OutOfReach;
use crate::model::{Condition, Words as _};

/// Why an endpoint takes no new connections. When several reasons hold, the first in this order is
/// shown.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Ineligible {
    /// An operator drained it.
    Drained,
    /// Its health check fails, and another endpoint is left.
    Unhealthy,
    /// No frontend of its service leads to it.
    OutOfReach(OutOfReach),
    /// It is not ready.
    NotReady,
    /// It is terminating, and a ready one takes the connections.
    Terminating,
    /// Its weight is 0.
    NoWeight,
}

impl Ineligible {
    /// The word of [`Unhealthy`](Self::Unhealthy), which is also a result of health checks.
    pub const UNHEALTHY: &str = "unhealthy";

    /// Returns the state of the endpoint in lists.
    pub fn word(self) -> &'static str {
        match self {
            Self::Drained => "draining",
            Self::Unhealthy => Self::UNHEALTHY,
            Self::OutOfReach(out) => out.word(),
            Self::NotReady => Condition::NotReady.word(),
            Self::Terminating => Condition::Terminating.word(),
            Self::NoWeight => "inactive",
        }
    }

    /// Returns the reason as an explanation tells it.
    pub fn explanation(self) -> &'static str {
        match self {
            Self::Drained => "drained by an operator",
            Self::Unhealthy => "its health check fails",
            Self::OutOfReach(out) => out.word(),
            Self::NotReady => Condition::NotReady.word(),
            Self::Terminating => {
                "terminating: it gets no new connections while another endpoint is ready"
            }
            Self::NoWeight => "its weight is 0",
        }
    }

    /// Returns the state of its row, one of [`backend_state`]. Open connections to an endpoint that
    /// drains go on; those to one that is down may be closed.
    const fn row_state(self) -> u16 {
        match self {
            Self::Unhealthy | Self::NotReady => backend_state::DOWN,
            Self::Drained | Self::OutOfReach(_) | Self::Terminating | Self::NoWeight => {
                backend_state::DRAINING
            }
        }
    }
}

/// Returns the state of the row of an endpoint with these reasons. Down outweighs draining.
pub(super) fn row_state(reasons: &[Ineligible]) -> u16 {
    let states = reasons.iter().map(|reason| reason.row_state());
    match (
        reasons,
        states.clone().any(|state| state == backend_state::DOWN),
    ) {
        ([], _) => backend_state::ACTIVE,
        (_, true) => backend_state::DOWN,
        (_, false) => backend_state::DRAINING,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        dataplane::memory::Memory,
        desired::{Eligibility, Override, Tables, Target, World, compile, fixture},
        model::{Endpoint, InternalTraffic, Service},
    };

    const NOW: Duration = Duration::from_secs(100);

    /// A service for clients of its node, with an endpoint for each reason and a last one without.
    fn cart() -> Service {
        let addresses: Vec<String> = (1..=7).map(|host| format!("10.0.0.{host}:80")).collect();
        let endpoints: Vec<(&str, u32)> = addresses.iter().map(|it| (it.as_str(), 1)).collect();
        let mut cart = fixture::with(fixture::fixed("cart", "10.96.0.1"), &endpoints);
        cart.traffic.health = Some(fixture::check());
        cart.internal_traffic = InternalTraffic::Local;
        let [
            _drained,
            _unhealthy,
            elsewhere,
            not_ready,
            terminating,
            weightless,
            _,
        ] = &mut cart.ports[0].endpoints[..]
        else {
            panic!("seven endpoints");
        };
        elsewhere.node = Some("n2".into());
        not_ready.condition = Condition::NotReady;
        terminating.condition = Condition::Terminating;
        weightless.weight = 0;
        for endpoint in &mut cart.ports[0].endpoints {
            endpoint.node.get_or_insert("n1".into());
        }
        cart
    }

    fn world(service: Service) -> World {
        let target = |at: usize| Target::of(&service, &service.ports[0].endpoints[at]);
        let drained = Override {
            draining_since: Some(Duration::ZERO),
            ..Override::default()
        };
        World {
            overrides: [(target(0), drained)].into(),
            failing: [(target(1), NOW)].into(),
            node_name: "n1".into(),
            services: fixture::services([service]),
            complete: true,
            ..World::default()
        }
    }

    #[test]
    fn each_reason_has_its_words_and_the_state_of_its_row() {
        let cart = cart();
        let world = world(cart.clone());
        let eligibility = Eligibility::of(&world, NOW, &cart, &cart.ports[0]);
        let tables = compile(&world, NOW, &Tables::default(), Memory::CAPACITY).unwrap();
        let state_of = |endpoint: &Endpoint| {
            let mut rows = tables.backends.values();
            rows.find(|row| row.addr == endpoint.address.into())
                .unwrap()
                .state
        };
        let endpoints = cart.ports[0].endpoints.iter().enumerate();
        let shown: Vec<(Option<&str>, u16)> = endpoints
            .map(|(at, it)| (eligibility.why_not(at).map(Ineligible::word), state_of(it)))
            .collect();
        let expected = [
            (Some("draining"), backend_state::DRAINING),
            (Some("unhealthy"), backend_state::DOWN),
            (Some("not on this node"), backend_state::DRAINING),
            (Some("notReady"), backend_state::DOWN),
            (Some("terminating"), backend_state::DRAINING),
            (Some("inactive"), backend_state::DRAINING),
            (None, backend_state::ACTIVE),
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn an_unhealthy_endpoint_that_drains_is_down() {
        assert_eq!(row_state(&[]), backend_state::ACTIVE);
        let both = [Ineligible::Drained, Ineligible::Unhealthy];
        assert_eq!(row_state(&both), backend_state::DOWN);
    }
}
