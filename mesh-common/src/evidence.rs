//! One client's record of a backend, its row of OUTCOMES, combined with the agreement of all
//! clients. Takes a backend and a client, returns the backend's [`Health`] for that client.

use crate::{
    abi::{Backend, Outcome, OutcomeKey, OutcomeRow, ServiceRow, protocol},
    agreement::{Agreement, Standing},
    atomic,
    ejection::{Health, milliseconds},
    kernel::Kernel,
};

/// The global functions of this module; see [`kernel`](crate::kernel).
pub trait Evidence: Kernel {
    /// [`client_health`]
    fn client_health(&self, service: &ServiceRow, index: u32) -> u64 {
        client_health(self, service, index)
    }

    /// [`start_trial`]
    fn start_trial(&self, service: &ServiceRow, index: u32) -> bool {
        start_trial(self, service, index)
    }
}

/// A client's record of a backend.
pub(crate) struct Record<'a> {
    pub key: OutcomeKey,
    backend: u32,
    generation: u32,
    row: Option<&'a Outcome>,
    /// A [`Health`] word; zero without a row.
    word: u64,
}

impl<'a> Record<'a> {
    /// Reads the record.
    #[inline(always)]
    pub(crate) fn of<K: Kernel>(kernel: &'a K, client: u32, index: u32, generation: u32) -> Self {
        let key = OutcomeKey::new(client, index);
        let found = kernel.outcome(&key);
        // Rows of an LRU map are recycled while they are read, and a row may be for another backend
        // of the class: each contains its client, backend and generation.
        let row = found.filter(|row| {
            row.client == client && row.backend == index && row.generation == generation
        });
        let word = row.map_or(0, |row| atomic::read(&row.health));
        Self {
            key,
            backend: index,
            generation,
            row,
            word,
        }
    }

    /// Returns whether the client has a record.
    #[inline(always)]
    pub(crate) const fn is_there(&self) -> bool {
        self.row.is_some()
    }

    /// Returns the health of the backend for the client, agreement included.
    #[inline(always)]
    pub(crate) fn with(&self, agreement: Agreement, now: u64) -> Health {
        agreement.seen_with(self.is_there(), Health::of(self.word), now)
    }

    /// Replaces the record by `health`. Returns false when another connect was faster.
    #[inline(always)]
    pub(crate) fn replace<K: Kernel>(&self, kernel: &K, health: Health) -> bool {
        match self.row {
            Some(row) => atomic::replace(&row.health, self.word, health.word()),
            None => {
                let row = OutcomeRow {
                    health: health.word(),
                    generation: self.generation,
                    client: self.key.client,
                    backend: self.backend,
                    pad: 0,
                };
                kernel.put_outcome(&self.key, &row)
            }
        }
    }
}

/// Returns the [`Health`] word of a backend that is not clear, for the client in `service`.
///
/// A global function: few connects need it.
#[inline(always)]
pub fn client_health<K: Kernel>(kernel: &K, service: &ServiceRow, index: u32) -> u64 {
    let Some(backend) = kernel.backend(index) else {
        return 0;
    };
    let word = atomic::read(&backend.health);
    let now = milliseconds(kernel.now());
    if Agreement::of(word).at(now).standing == Standing::Clear {
        // Forgotten. With a word of zero, further connects need not read the clock.
        atomic::replace(&backend.health, word, 0);
        return 0;
    }
    let record = Record::of(kernel, service.client, index, backend.row.generation);
    record.with(Agreement::of(word), now).word()
}

/// Makes the calling connect its client's trial of a backend whose ejection is over. Returns false
/// when another connect of the client was faster. A global function.
#[inline(always)]
pub fn start_trial<K: Kernel>(kernel: &K, service: &ServiceRow, index: u32) -> bool {
    let Some(backend) = kernel
        .backend(index)
        .filter(|_| service.key.protocol == protocol::TCP)
    else {
        return false;
    };
    let record = Record::of(kernel, service.client, index, backend.row.generation);
    let now = milliseconds(kernel.now());
    let health = record.with(Agreement::of(atomic::read(&backend.health)), now);
    health.is_due(now) && record.replace(kernel, health.tried(service, now))
}

/// Returns the health of any backend for the client in `service`.
#[inline(always)]
pub(crate) fn health<K: Evidence>(
    kernel: &K,
    service: &ServiceRow,
    index: u32,
    backend: &Backend,
) -> Health {
    if service.failures == 0 || atomic::read(&backend.health) == 0 {
        return Health::default();
    }
    Health::of(kernel.client_health(service, index))
}

/// Ends the ejection by agreement: the backend works for the node.
#[inline(always)]
pub fn lift(backend: &Backend) {
    agree(backend, |known| (known.lifted(), false));
}

/// Changes the agreement. Returns the second value of the last `change`.
#[inline(always)]
pub(crate) fn agree(backend: &Backend, change: impl Fn(Agreement) -> (Agreement, bool)) -> bool {
    /// Attempts to change a word that other sockets keep changing; then the change is given up.
    const ATTEMPTS: u32 = 4;
    for _ in 0..ATTEMPTS {
        let word = atomic::read(&backend.health);
        let (next, what) = change(Agreement::of(word));
        if next.word() == word || atomic::replace(&backend.health, word, next.word()) {
            return what;
        }
    }
    false
}
