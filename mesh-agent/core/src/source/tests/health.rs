//! Health checks in native services and annotations.

use std::{num::NonZeroU32, time::Duration};

use super::{
    joined, problems,
    traffic::{problem, traffic},
};
use crate::{
    model::{HealthCheck, HttpProbe, Probe},
    source::Serve,
};

fn health(text: &str) -> HealthCheck {
    *traffic(&format!("  health: {text}\n")).health.unwrap()
}

fn http(text: &str) -> HttpProbe {
    match health(&format!("{{http: {text}}}")).probe {
        Probe::Http(http) => http,
        other => panic!("{other:?}"),
    }
}

fn header(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[test]
fn every_kind_of_probe_is_read() {
    let plain = HttpProbe {
        tls: false,
        path: "/".into(),
        headers: vec![],
        status: (200, 399),
        expect_header: None,
    };
    assert_eq!(health("{tcp: {}}").probe, Probe::Tcp);
    assert_eq!(health("{http: {}}").probe, Probe::Http(plain.clone()));
    assert_eq!(
        health("{https: {}}").probe,
        Probe::Http(HttpProbe { tls: true, ..plain })
    );
    assert_eq!(
        health("{grpc: {}}").probe,
        Probe::Grpc {
            service: String::new()
        }
    );
    assert_eq!(
        health("{grpc: {service: shop.Cart}}").probe,
        Probe::Grpc {
            service: "shop.Cart".into()
        }
    );
}

#[test]
fn every_setting_of_a_check_is_read() {
    let count = |number| NonZeroU32::new(number).unwrap();
    let text = "{tcp: {}, port: 9000, interval: 1m, timeout: 60s, jitterPercent: 0, rise: 1, fall: 7, allowEmpty: true}";
    let expected = HealthCheck {
        probe: Probe::Tcp,
        port: Some(9000),
        interval: Duration::from_secs(60),
        timeout: Duration::from_secs(60),
        jitter_percent: 0,
        rise: count(1),
        fall: count(7),
        allow_empty: true,
    };
    assert_eq!(health(text), expected);
    let short = health("{tcp: {}, interval: 500ms}");
    assert_eq!(
        (short.interval, short.timeout),
        (Duration::from_millis(500), Duration::from_millis(500))
    );
}

#[test]
fn every_setting_of_an_http_probe_is_read() {
    let text = "{path: '/up?a=1', host: shop.example:8080, headers: {X-Token: t, x-count: 7}, status: 204, \
                expectHeader: {X-Ready: 'yes'}}";
    let expected = HttpProbe {
        tls: false,
        path: "/up?a=1".into(),
        headers: vec![
            header("host", "shop.example:8080"),
            header("x-token", "t"),
            header("x-count", "7"),
        ],
        status: (204, 204),
        expect_header: Some(header("x-ready", "yes")),
    };
    assert_eq!(http(text), expected);
    assert_eq!(http("{headers: {Host: a}}").headers, [header("host", "a")]);
    assert_eq!(http("{status: 200-299}").status, (200, 299));
    assert_eq!(http("{status: '404'}").status, (404, 404));
}

#[test]
fn errors_of_wrong_checks_name_the_expected_value() {
    let status = "expected a status from 200 to 599, or first and last like 200-399, found";
    let path = "expected a path and perhaps a query, like /healthz?full, found";
    let interval = "expected a duration from 100ms to 24h in whole milliseconds, found";
    let expected = [
        ("tcp", ": expected a mapping, found `tcp`".to_owned()),
        ("{}", ": says no probe: one of `tcp: {}`, `http: {}`, `https: {}` and `grpc: {}` is needed".into()),
        ("{tcp: {}, grpc: {}}", ".grpc: a second probe: only one of tcp, http, https and grpc can be given".into()),
        ("{tcp: 80}", ".tcp: expected a mapping, found `80`".into()),
        ("{tcp: {port: 80}}", ".tcp.port: unknown field: expected an empty mapping".into()),
        ("{grpc: {service: 1}}", ".grpc.service: expected text, found `1`".into()),
        ("{grpc: {name: x}}", ".grpc.name: unknown field; known here: service".into()),
        ("{tcp: {}, port: 0}", ".port: expected a port from 1 to 65535, found `0`".into()),
        (
            "{tcp: {}, interval: 5}",
            ".interval: expected a duration with its unit, like 500ms, 10s or 5m, found `5`".into(),
        ),
        ("{tcp: {}, interval: 99ms}", format!(".interval: {interval} `99ms`")),
        ("{tcp: {}, timeout: 6s}", ".timeout: longer than the interval, which is 5s".into()),
        ("{tcp: {}, jitterPercent: 51}", ".jitterPercent: expected a whole number from 0 to 50, found `51`".into()),
        ("{tcp: {}, rise: 0}", ".rise: expected a whole number from 1 to 4294967295, found `0`".into()),
        ("{tcp: {}, fall: -1}", ".fall: expected a whole number from 1 to 4294967295, found `-1`".into()),
        ("{tcp: {}, allowEmpty: 'no'}", ".allowEmpty: expected true or false, found `no`".into()),
        (
            "{tcp: {}, every: 5s}",
            ".every: unknown field; known here: tcp, http, https, grpc, port, interval, timeout, jitterPercent, \
             rise, fall, allowEmpty"
                .into(),
        ),
        ("{http: {path: up}}", format!(".http.path: {path} `up`")),
        ("{http: {path: '/up#part'}}", format!(".http.path: {path} `/up#part`")),
        ("{http: {path: '/a b'}}", format!(".http.path: {path} `/a b`")),
        ("{http: {host: 'a b'}}", ".http.host: expected a host name, perhaps with a port, found `a b`".into()),
        ("{http: {host: 'u@a'}}", ".http.host: expected a host name, perhaps with a port, found `u@a`".into()),
        ("{http: {headers: [a]}}", ".http.headers: expected a mapping, found a list".into()),
        ("{http: {headers: {'a b': c}}}", ".http.headers.a b: not the name of a header".into()),
        (
            "{https: {headers: {a: \"b\\nc\"}}}",
            ".https.headers.a: expected the text of a header, in one line, found `b c`".into(),
        ),
        ("{http: {headers: {a: b, A: c}}}", ".http.headers.A: given twice: upper and lower case do not matter".into()),
        ("{http: {host: a, headers: {Host: b}}}", ".http.headers.Host: given as `host` already".into()),
        (
            "{http: {headers: {Content-Length: 1}}}",
            ".http.headers.Content-Length: the probe sets this header itself".into(),
        ),
        ("{http: {status: 199}}", format!(".http.status: {status} `199`")),
        ("{http: {status: 600}}", format!(".http.status: {status} `600`")),
        ("{http: {status: 300-200}}", format!(".http.status: {status} `300-200`")),
        ("{http: {status: [200]}}", format!(".http.status: {status} a list")),
        ("{http: {expectHeader: {}}}", ".http.expectHeader: expected exactly one header, found 0".into()),
        ("{http: {expectHeader: {a: b, c: d}}}", ".http.expectHeader: expected exactly one header, found 2".into()),
        (
            "{http: {method: GET}}",
            ".http.method: unknown field; known here: path, host, headers, status, expectHeader".into(),
        ),
    ];
    for (text, right) in expected {
        assert_eq!(
            problem(&format!("health: {text}")),
            [format!("health{right}")],
            "{text}"
        );
    }
}

#[test]
fn a_check_needs_a_tcp_port() {
    let native = |protocols: &str| {
        format!(
            "services:\n- name: a\n  address: auto\n  health: {{tcp: {{}}}}\n  ports: [{protocols}]\n"
        )
    };
    let (tcp, udp) = ("{name: t, port: 1}", "{name: u, port: 1, protocol: UDP}");
    let reason = "a health check needs a TCP port, and this service has only UDP ports";
    assert_eq!(
        problems(&native(udp)),
        [format!("a.yaml:4: services[0].health: {reason}")]
    );
    assert_eq!(problems(&native(&format!("{udp}, {tcp}"))), [""; 0]);
    let declared = |protocols: &str| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata:\n  name: a\n  annotations:\n    \
             mesh-agent.io/health: '{{tcp: {{}}}}'\nspec: {{clusterIP: 10.96.0.1, ports: [{protocols}]}}\n"
        )
    };
    let place = "a.yaml:6: metadata.annotations.mesh-agent.io/health";
    assert_eq!(problems(&declared(udp)), [format!("{place}: {reason}")]);
    let mixed = joined(&declared(&format!("{udp}, {tcp}")), Serve::All);
    assert!(
        mixed
            .services
            .values()
            .all(|service| service.traffic.health.is_some())
    );
}
