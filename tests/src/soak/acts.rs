//! Changes during a soak: one act after the other, chosen at random from a seed.

use std::{collections::BTreeSet, fmt};

use mesh_common::hash::next_random;

use super::rows::Rows;
use crate::{Manifest, Node, Server, node::PATIENCE, service, wait};

/// Endpoints of `shop/cart`, which always has two of them.
const SERVERS: [&str; 4] = ["a", "b", "c", "d"];
/// Services that come and go.
const EXTRAS: u64 = 12;
/// The service whose connects must never fail.
pub const CART: &str = "10.96.0.10:80";
pub const CART_UDP: &str = "10.96.0.10:53";
/// The service that has an endpoint at times.
pub const RARE: &str = "10.96.0.11:80";

/// The node and its configuration.
pub struct Acts {
    pub node: Node,
    pub made: Made,
    servers: [Server; 4],
    random: Random,
    /// Position of the present pair in the ring of servers.
    pair: usize,
    rare: bool,
    extras: BTreeSet<u64>,
    /// Rows after the start.
    base: Rows,
}

/// Number of acts.
#[derive(Clone, Copy, Default, Debug)]
pub struct Made {
    pub changes: u64,
    drains: u64,
    kills: u64,
    stops: u64,
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            changes,
            drains,
            kills,
            stops,
        } = self;
        write!(
            f,
            "{changes} changes, {drains} drains, {kills} kills, {stops} stops"
        )
    }
}

impl Acts {
    /// Starts a node with two services.
    pub fn start(seed: u64) -> Self {
        let node = Node::start();
        let servers = SERVERS.map(|name| node.echo_server(name));
        let mut acts = Self {
            base: Rows::default(),
            node,
            made: Made::default(),
            servers,
            random: Random(seed | 1),
            pair: 0,
            rare: true,
            extras: BTreeSet::new(),
        };
        acts.reset();
        acts.base = Rows::of(&acts.node);
        acts
    }

    /// Carries out one act.
    pub fn one(&mut self, kills: bool) {
        match self.random.below(if kills { 20 } else { 17 }) {
            0..7 => {
                self.next_pair();
                self.wait_for_pair();
            }
            7..11 => self.change_extra(),
            11..14 => self.change_rare(),
            14..17 => self.drain(),
            17 => self.end(Node::kill_agent),
            18 => {
                self.made.stops += 1;
                self.node.stop_agent();
                self.node.start_agent();
            }
            _ => {
                // The agent may be killed at any step of the change.
                self.next_pair();
                self.end(Node::kill_agent);
                self.wait_for_pair();
            }
        }
    }

    /// Waits until what is configured is in force.
    pub fn settle(&self) {
        self.wait_for_pair();
        let rare: Vec<&Server> = self.servers[..1].iter().filter(|_| self.rare).collect();
        self.node
            .wait_until_served_within("shop/rare", &rare, PATIENCE);
        wait::until_equal("services", PATIENCE, &(2 + self.extras.len()), || {
            self.node.services().len()
        });
    }

    /// Returns to the configuration at the start, and waits until the maps hold as many rows as
    /// then.
    pub fn expect_base(&mut self) {
        for extra in std::mem::take(&mut self.extras) {
            self.node.remove(&format!("extra-{extra}.yaml"));
        }
        self.reset();
        wait::until_equal("rows of maps", 3 * PATIENCE, &self.base, || {
            Rows::of(&self.node)
        });
    }

    fn reset(&mut self) {
        (self.pair, self.rare) = (0, true);
        self.node.write("cart.yaml", self.cart());
        self.node.write("rare.yaml", self.rare());
        self.settle();
    }

    fn end(&mut self, end: fn(&mut Node)) {
        self.made.kills += 1;
        end(&mut self.node);
        self.node.start_agent();
    }

    fn present(&self) -> [&Server; 2] {
        [0, 1].map(|next| &self.servers[(self.pair + next) % SERVERS.len()])
    }

    fn cart(&self) -> Manifest {
        let cart = service("shop/cart").address("10.96.0.10").tcp(80).udp(53);
        cart.endpoints(self.present())
    }

    fn rare(&self) -> Manifest {
        let rare = service("shop/rare").address("10.96.0.11").tcp(80);
        rare.endpoints(self.servers[..1].iter().filter(|_| self.rare))
    }

    /// Replaces one of the two endpoints, or both.
    fn next_pair(&mut self) {
        self.pair = (self.pair + 1 + self.pick(2)) % SERVERS.len();
        self.made.changes += 1;
        self.node.write("cart.yaml", self.cart());
    }

    fn wait_for_pair(&self) {
        self.node
            .wait_until_served_within("shop/cart", &self.present(), PATIENCE);
    }

    fn change_extra(&mut self) {
        let number = self.random.below(EXTRAS);
        let file = format!("extra-{number}.yaml");
        self.made.changes += 1;
        if self.extras.remove(&number) {
            return self.node.remove(&file);
        }
        self.extras.insert(number);
        let extra =
            service(&format!("extra/s{number}")).address(&format!("10.96.1.{}", number + 1));
        self.node
            .write(&file, extra.tcp(80).endpoints(self.present()));
    }

    fn change_rare(&mut self) {
        self.rare = !self.rare;
        self.made.changes += 1;
        self.node.write("rare.yaml", self.rare());
    }

    /// Drains an endpoint, and ends the drain.
    fn drain(&mut self) {
        self.wait_for_pair();
        let drained = self.pick(2);
        let present = self.present();
        let address = present[drained].address();
        self.node
            .meshctl(&format!("backend drain shop/cart {address}"))
            .expect_success();
        let others = [present[1 - drained]];
        self.node
            .wait_until_served_within("shop/cart", &others, PATIENCE);
        self.node
            .meshctl(&format!("backend undrain shop/cart {address}"))
            .expect_success();
        self.wait_for_pair();
        self.made.drains += 1;
    }

    fn pick(&mut self, among: u64) -> usize {
        usize::try_from(self.random.below(among)).expect("a small number")
    }
}

/// The state of a generator of random numbers.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        let (next, bits) = next_random(self.0);
        self.0 = next;
        u64::from(bits) % bound
    }
}
