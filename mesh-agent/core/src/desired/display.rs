//! Formats tables as text for golden cases and debugging: one line per row, without settings that
//! have their default.

use std::{fmt, net::SocketAddr};

use mesh_common::abi::{
    BackendRow, FrontendKey, ServiceRow, Slot, backend_state, protocol, service_flags,
};

use super::{
    Tables, contiguous_backends, frontend,
    plan::{Op, Write},
    service_row::{balance, service_row},
};
use crate::{
    for_each_table,
    model::{AffinityClient, Balance, Traffic, Words as _, hyphenated},
};

macro_rules! texts {
    ($(
        $(#[$doc:meta])*
        $table:ident: $op:ident<$key:ty, $row:ty>, map: $map:ident as $access:ident, plan: $plan:ident, text: $text:ident,
        service: $service:ident;
    )+) => {
        impl fmt::Display for Tables {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                $(self.$table.iter().try_for_each(|(key, row)| $text(f, key, row))?;)+
                Ok(())
            }
        }

        /// An operation that writes a row has the text of the row.
        impl fmt::Display for Op {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$op(key, write) => {
                        let named = format!("{} {}", stringify!($op).to_lowercase(), key.text());
                        match write {
                            Write::Delete => write!(f, "no {named}"),
                            Write::Free => write!(f, "free {named}"),
                            Write::Take(_) | Write::Put(_) => {
                                let mut one = Tables::default();
                                one.apply(self);
                                let row = one.to_string();
                                f.write_str(if row.is_empty() { &named } else { row.trim_end() })
                            }
                        }
                    })+
                }
            }
        }
    };
}

for_each_table!(texts);

/// The text of a key.
trait KeyText {
    fn text(&self) -> String;
}

impl KeyText for u32 {
    fn text(&self) -> String {
        self.to_string()
    }
}

impl KeyText for FrontendKey {
    fn text(&self) -> String {
        frontend(self)
    }
}

fn name(f: &mut fmt::Formatter<'_>, id: &u32, name: &String) -> fmt::Result {
    writeln!(f, "name {id} {name}")
}

/// Rows that follow from other rows.
fn nothing<K, V>(_: &mut fmt::Formatter<'_>, _: &K, _: &V) -> fmt::Result {
    Ok(())
}

fn service(f: &mut fmt::Formatter<'_>, key: &FrontendKey, row: &ServiceRow) -> fmt::Result {
    let ServiceRow {
        key: _,
        id,
        slot_base,
        slot_count,
        flags,
        affinity_seconds,
        ..
    } = row;
    let what = if contiguous_backends(row).is_some() {
        "backends"
    } else {
        "slots"
    };
    write!(
        f,
        "service {} id {id} {what} {slot_base}+{slot_count}",
        frontend(key)
    )?;
    f.write_str(&policy(row))?;
    if *flags & service_flags::LOCAL != 0 {
        write!(f, " local")?;
    }
    if *affinity_seconds > 0 {
        let client = if *flags & service_flags::AFFINITY_BY_CGROUP == 0 {
            AffinityClient::NetworkNamespace
        } else {
            AffinityClient::Cgroup
        };
        write!(f, " affinity {affinity_seconds} s per {}", client.word())?;
    }
    if *flags & service_flags::TRACK != 0 && key.protocol == protocol::TCP {
        write!(f, " closed when stale")?;
    }
    limits(f, row)?;
    outlier(f, row)?;
    locality(f, row)?;
    writeln!(f)
}

fn policy(row: &ServiceRow) -> String {
    match balance(row) {
        Some(Balance::LeastConnections) => String::new(),
        Some(Balance::ConsistentHash(key)) => {
            let key = hyphenated(key.word()).replace('-', " ");
            format!(" consistent-hash by {key}")
        }
        Some(other) => format!(" {}", hyphenated(other.word())),
        None => " unknown policy".to_owned(),
    }
}

fn limits(f: &mut fmt::Formatter<'_>, row: &ServiceRow) -> fmt::Result {
    if row.max_connections != 0 {
        write!(f, " max {}", row.max_connections)?;
    }
    if row.max_backend_connections != 0 {
        write!(f, " max {} each", row.max_backend_connections)?;
    }
    if row.max_client_connections != 0 {
        write!(f, " max {} per client", row.max_client_connections)?;
    }
    Ok(())
}

fn outlier(f: &mut fmt::Formatter<'_>, row: &ServiceRow) -> fmt::Result {
    let default = service_row(&Traffic::default());
    match row.failures {
        0 => return write!(f, " never ejects"),
        failures if failures != default.failures => write!(f, " ejects after {failures}")?,
        _ => {}
    }
    if (row.base_ejection, row.max_ejection) != (default.base_ejection, default.max_ejection) {
        write!(f, " for {} to {} ms", row.base_ejection, row.max_ejection)?;
    }
    if row.max_ejected != default.max_ejected {
        write!(f, " at most {} %", row.max_ejected)?;
    }
    if row.panic != default.panic {
        write!(f, " panics below {} %", row.panic)?;
    }
    if row.connect_timeout != default.connect_timeout {
        write!(f, " answer within {} ms", row.connect_timeout)?;
    }
    Ok(())
}

fn locality(f: &mut fmt::Formatter<'_>, row: &ServiceRow) -> fmt::Result {
    if row.flags & service_flags::TIERS != 0 {
        write!(f, " tiers")?;
    }
    if row.failover != service_row(&Traffic::default()).failover {
        write!(f, " failover below {} %", row.failover)?;
    }
    if row.spill != 0 {
        write!(f, " spill above {} %", row.spill)?;
    }
    Ok(())
}

fn slot(f: &mut fmt::Formatter<'_>, index: &u32, slot: &Slot) -> fmt::Result {
    let Slot {
        backend,
        alias,
        threshold,
        link,
    } = slot;
    if *link != 0 {
        return writeln!(f, "slot {index} link to {backend}+{alias}");
    }
    write!(f, "slot {index} backend {backend}")?;
    match backend == alias {
        true => writeln!(f),
        false => writeln!(
            f,
            " share {:.6} else {alias}",
            f64::from(*threshold) / 2_f64.powi(32)
        ),
    }
}

fn backend(f: &mut fmt::Formatter<'_>, index: &u32, row: &BackendRow) -> fmt::Result {
    let BackendRow {
        addr,
        port,
        state,
        service,
        generation: _,
        weight,
        drain_seconds,
    } = row;
    let address = SocketAddr::new((*addr).into(), u16::from_be(*port));
    let state = match *state {
        backend_state::ACTIVE => "active",
        backend_state::DRAINING => "draining",
        backend_state::DOWN => "down",
        _ => "retired",
    };
    write!(
        f,
        "backend {index} {address} service {service} weight {weight} {state}"
    )?;
    match drain_seconds {
        0 => writeln!(f),
        seconds => writeln!(f, " drains {seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::fixture;

    #[test]
    fn operations_are_shown_as_table_rows() {
        let ops = [
            Op::Name(3, Write::Take("test/cart:80/TCP".to_owned())),
            Op::Service(fixture::key("10.96.0.1:80"), Write::Delete),
            Op::Backend(7, Write::Free),
            Op::Filter(5, Write::Put(1)),
        ];
        assert_eq!(
            ops.map(|op| op.to_string()),
            [
                "name 3 test/cart:80/TCP",
                "no service 10.96.0.1:80/TCP",
                "free backend 7",
                "filter 5"
            ]
        );
    }
}
