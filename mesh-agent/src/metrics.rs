//! Serves Prometheus metrics, read from the [`View`] at the time of the scrape.

mod listen;
mod load;
mod scrape;
mod token;

use std::{
    borrow::Cow,
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use mesh_common::counter::Counter;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder, NoLabelSet, text},
    metrics::MetricType,
    registry::Registry,
};
use tokio_util::sync::CancellationToken;

pub use self::listen::{Address, BindError, Listener, bind};
use self::{scrape::Scrapes, token::Token};
use crate::api::{
    connection_limits,
    server::View,
    types::{Service, ServicePort, Status},
    view::ViewReader,
};

const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Serves `listener` until `cancel`: `/metrics` for Prometheus, `/healthz` while the process lives,
/// and `/readyz` while the kernel holds the configured services. With `token`, `/metrics` requires
/// the bearer token in that file.
pub async fn serve(
    listener: Listener,
    token: Option<PathBuf>,
    view: Arc<dyn View>,
    cancel: CancellationToken,
) {
    let reader = ViewReader::new(view);
    let pages = Arc::new(Pages {
        reader: reader.clone(),
        scrapes: Scrapes::default(),
        token: token.map(Token::new),
    });
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .with_state(Arc::clone(&pages));
    let answer = async {
        match listener {
            Listener::Tcp(tcp) => {
                connection_limits::serve(tcp, router, connection_limits::METRICS, peer, cancel)
                    .await;
            }
            Listener::Unix(unix) => {
                connection_limits::serve(
                    unix,
                    router,
                    connection_limits::METRICS,
                    |_| None,
                    cancel,
                )
                .await;
            }
        }
    };
    tokio::select! {
        () = answer => {}
        () = pages.scrapes.render(&reader, connection_limits::METRICS.time, scrape) => {}
    }
}

/// All loopback addresses are one peer.
#[expect(
    clippy::unnecessary_wraps,
    reason = "the form for listeners whose peers have no address"
)]
fn peer(address: &SocketAddr) -> Option<IpAddr> {
    let address = address.ip().to_canonical();
    Some(if address.is_loopback() {
        Ipv4Addr::LOCALHOST.into()
    } else {
        address
    })
}

/// State of the pages.
struct Pages {
    reader: ViewReader,
    scrapes: Scrapes,
    token: Option<Token>,
}

async fn metrics(State(pages): State<Arc<Pages>>, headers: HeaderMap) -> Response {
    if pages
        .token
        .as_ref()
        .is_some_and(|token| !token.admits(&headers))
    {
        let how = "send the token of --metrics-token-file: `Authorization: Bearer TOKEN`\n";
        return (
            StatusCode::UNAUTHORIZED,
            [(header::WWW_AUTHENTICATE, "Bearer")],
            how,
        )
            .into_response();
    }
    match pages.scrapes.get().await {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(reason) => (StatusCode::INTERNAL_SERVER_ERROR, reason + "\n").into_response(),
    }
}

async fn readyz(State(pages): State<Arc<Pages>>) -> (StatusCode, &'static str) {
    match pages.reader.ready() {
        true => (StatusCode::OK, "ready\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
    }
}

/// Renders the metrics in the OpenMetrics text format. Returns an error if anything cannot be read,
/// because missing values would look like removed services.
fn scrape(view: &dyn View) -> Result<Bytes, String> {
    let reading = Reading {
        status: view.status(),
        services: view.services()?,
    };
    let mut registry = Registry::default();
    registry.register_collector(Box::new(reading));
    let mut out = String::new();
    text::encode(&mut out, &registry).expect("a string takes all that is written");
    // The text is kept for a second, and longer by slow readers.
    out.shrink_to_fit();
    Ok(out.into())
}

/// Values read from the view.
#[derive(Debug)]
struct Reading {
    status: Status,
    services: Vec<Service>,
}

impl Collector for Reading {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.encode_agent(&mut encoder)?;
        self.encode_maps(&mut encoder)?;
        self.encode_services(&mut encoder)?;
        self.encode_backends(&mut encoder)?;
        self.encode_load(&mut encoder)?;
        self.encode_health(&mut encoder)
    }
}

impl Reading {
    fn encode_agent(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let Status {
            version,
            ready,
            revision,
            errors_total,
            config_valid,
            wrong_total,
            ..
        } = &self.status;
        family(
            encoder,
            "mesh_agent_build",
            "Version of the agent",
            MetricType::Info,
        )?
        .encode_info(&[("version", version.as_str())])?;
        let help = "1 when the kernel has what the configuration says, except for single objects with errors";
        family(encoder, "mesh_agent_ready", help, MetricType::Gauge)?
            .encode_gauge(&u32::from(*ready))?;
        family(
            encoder,
            "mesh_agent_revision",
            "Revision of the tables that were applied last",
            MetricType::Gauge,
        )?
        .encode_gauge(revision)?;
        family(
            encoder,
            "mesh_agent_config_errors",
            "Errors in the configuration",
            MetricType::Gauge,
        )?
        .encode_gauge(errors_total)?;
        let help = "1 when the configuration has no errors";
        family(encoder, "mesh_agent_config_valid", help, MetricType::Gauge)?
            .encode_gauge(&u32::from(*config_valid))?;
        let help = "Objects, files and directories whose current version is not in force";
        family(encoder, "mesh_agent_config_wrong", help, MetricType::Gauge)?
            .encode_gauge(wrong_total)
    }

    fn encode_maps(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut used = family(
            encoder,
            "mesh_agent_map_entries",
            "Rows in use in a kernel map",
            MetricType::Gauge,
        )?;
        for map in &self.status.capacity {
            used.encode_family(&[("map", map.map.as_str())])?
                .encode_gauge(&map.used)?;
        }
        let mut room = family(
            encoder,
            "mesh_agent_map_capacity",
            "Rows that a kernel map can hold",
            MetricType::Gauge,
        )?;
        for map in &self.status.capacity {
            room.encode_family(&[("map", map.map.as_str())])?
                .encode_gauge(&map.capacity)?;
        }
        Ok(())
    }

    fn encode_services(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        for counter in Counter::ALL {
            let name = format!("mesh_agent_service_{}", counter.name());
            let mut metric = family(encoder, &name, counter.help(), MetricType::Counter)?;
            for (service, port) in self.ports() {
                count(
                    &mut metric,
                    &port_labels(service, port),
                    port.counters.get(counter),
                )?;
            }
        }
        Ok(())
    }

    /// Endpoints without a health check have no value.
    fn encode_health(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let checked = self
            .endpoints()
            .filter_map(|(service, port, it)| Some((service, port, it, it.health.as_ref()?)));
        let mut checked = checked.filter(|(_, _, _, health)| health.state != "unchecked");
        let Some(first) = checked.next() else {
            return Ok(());
        };
        let help = "0 when the health check of the endpoint fails, else 1";
        let mut metric = family(
            encoder,
            "mesh_agent_endpoint_healthy",
            help,
            MetricType::Gauge,
        )?;
        for (service, port, endpoint, health) in [first].into_iter().chain(checked) {
            let labels = (
                port_labels(service, port),
                [("endpoint", endpoint.endpoint.clone())],
            );
            metric
                .encode_family(&labels)?
                .encode_gauge(&u32::from(health.state != "unhealthy"))?;
        }
        Ok(())
    }

    fn ports(&self) -> impl Iterator<Item = (&Service, &ServicePort)> {
        self.services
            .iter()
            .flat_map(|service| service.ports.iter().map(move |port| (service, port)))
    }
}

fn family<'a>(
    encoder: &'a mut DescriptorEncoder<'_>,
    name: &'a str,
    help: &str,
    kind: MetricType,
) -> Result<MetricEncoder<'a>, fmt::Error> {
    encoder.encode_descriptor(name, help, None, kind)
}

fn count(metric: &mut MetricEncoder<'_>, labels: &impl EncodeLabelSet, value: u64) -> fmt::Result {
    metric
        .encode_family(labels)?
        .encode_counter::<NoLabelSet, _, u64>(&value, None)
}

fn port_labels<'a>(
    service: &'a Service,
    port: &'a ServicePort,
) -> [(&'static str, Cow<'a, str>); 4] {
    let [namespace, name, protocol] =
        [&service.namespace, &service.name, &port.protocol].map(|text| Cow::from(&**text));
    [
        ("namespace", namespace),
        ("service", name),
        ("port", port.name_or_number()),
        ("protocol", protocol),
    ]
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::TcpStream,
    };

    use super::*;
    use crate::api::fixture::{Fake, ailing, busy_cart, checked_cart, healthy};

    #[test]
    fn a_scrape_is_what_the_view_says_now() {
        let expected = include_str!("metrics/scrape.txt");
        assert_eq!(scrape(&healthy()).unwrap(), expected.as_bytes());
    }

    fn told(service: Service) -> String {
        let text = scrape(&Fake {
            services: Ok(vec![service]),
            ..healthy()
        })
        .unwrap();
        String::from_utf8(text.into()).unwrap()
    }

    #[test]
    fn load_is_told_by_backend_and_by_service() {
        let text = told(busy_cart());
        let lines = |name: &str| -> Vec<String> {
            let labels = r#"{namespace="shop",service="cart",port="http",protocol="TCP""#;
            let lines = text
                .lines()
                .filter_map(|line| line.strip_prefix(name)?.strip_prefix(labels));
            lines.map(|line| line.replace('"', "")).collect()
        };
        let of = |values: [&str; 4]| {
            let backends = [
                "10.0.0.1:8080",
                "10.0.0.2:8080",
                "10.0.0.3:8080",
                "[fd00::a:1]:8080",
            ];
            std::array::from_fn::<_, 4, _>(|at| {
                format!(",endpoint={}}} {}", backends[at], values[at])
            })
        };
        assert_eq!(
            lines("mesh_agent_backend_connections"),
            of(["40", "0", "0", "12"])
        );
        assert_eq!(
            lines("mesh_agent_backend_connecting"),
            of(["2", "0", "0", "0"])
        );
        assert_eq!(
            lines("mesh_agent_backend_ejected"),
            of(["0", "1", "0", "0"])
        );
        assert_eq!(
            lines("mesh_agent_backend_handshake_seconds"),
            [",endpoint=10.0.0.1:8080} 0.00125"]
        );
        assert_eq!(lines("mesh_agent_service_connections"), ["} 52"]);
        assert_eq!(
            lines("mesh_agent_service_capacity"),
            [",state=usable} 200", ",state=total} 500"]
        );
    }

    #[test]
    fn only_checked_endpoints_are_healthy_or_not() {
        let text = told(checked_cart());
        let (_, health) = text
            .split_once("# TYPE mesh_agent_endpoint_healthy gauge\n")
            .unwrap();
        let labels = r#"namespace="shop",service="cart",port"#;
        let expected = format!(
            r#"mesh_agent_endpoint_healthy{{{labels}="http",protocol="TCP",endpoint="10.0.0.1:8080"}} 1
mesh_agent_endpoint_healthy{{{labels}="http",protocol="TCP",endpoint="10.0.0.2:8080"}} 0
mesh_agent_endpoint_healthy{{{labels}="http",protocol="TCP",endpoint="[fd00::a:1]:8080"}} 1
mesh_agent_endpoint_healthy{{{labels}="admin",protocol="TCP",endpoint="10.0.0.4:9000"}} 0
# EOF
"#
        );
        assert_eq!(health, expected);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn pages_say_how_the_agent_is() {
        let well = served(healthy()).await;
        assert_eq!(
            page(well, "/healthz"),
            ("HTTP/1.1 200 OK".into(), "ok\n".into())
        );
        assert_eq!(
            page(well, "/readyz"),
            ("HTTP/1.1 200 OK".into(), "ready\n".into())
        );
        assert_eq!(page(well, "/metrics").0, "HTTP/1.1 200 OK");
        let ill = served(ailing()).await;
        assert_eq!(
            page(ill, "/healthz"),
            ("HTTP/1.1 200 OK".into(), "ok\n".into())
        );
        assert_eq!(
            page(ill, "/readyz"),
            (
                "HTTP/1.1 503 Service Unavailable".into(),
                "not ready\n".into()
            )
        );
        let unreadable = "map SERVICES: cannot read row 7: gone\n";
        assert_eq!(
            page(ill, "/metrics"),
            (
                "HTTP/1.1 500 Internal Server Error".into(),
                unreadable.into()
            )
        );
    }

    #[tokio::test]
    async fn a_taken_address_is_named() {
        let Ok(Listener::Tcp(first)) = bind(&any()).await else {
            panic!("no port is free")
        };
        let address = first.local_addr().unwrap();
        let error = bind(&Address::Tcp(address)).await.unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("metrics address {address}: cannot listen: ")),
            "{error}"
        );
    }

    async fn served(fake: Fake) -> SocketAddr {
        let Ok(Listener::Tcp(listener)) = bind(&any()).await else {
            panic!("no port is free")
        };
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(
            Listener::Tcp(listener),
            None,
            Arc::new(fake),
            CancellationToken::new(),
        ));
        address
    }

    fn any() -> Address {
        Address::Tcp(([127, 0, 0, 1], 0).into())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_socket_file_and_a_token_can_be_asked_for() {
        let directory = tempfile::tempdir().unwrap();
        let (path, token) = (
            directory.path().join("metrics.sock"),
            directory.path().join("token"),
        );
        std::fs::write(&token, "t0ken\n").unwrap();
        let listener = bind(&Address::Unix(path.clone())).await.unwrap();
        tokio::spawn(serve(
            listener,
            Some(token),
            Arc::new(healthy()),
            CancellationToken::new(),
        ));
        let page = |request: &str| {
            let mut stream = std::os::unix::net::UnixStream::connect(&path).unwrap();
            write!(stream, "GET {request}\r\nhost: a\r\n\r\n").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer.lines().next().unwrap().to_owned()
        };
        assert_eq!(page("/healthz HTTP/1.1"), "HTTP/1.1 200 OK");
        assert_eq!(page("/readyz HTTP/1.1"), "HTTP/1.1 200 OK");
        assert_eq!(page("/metrics HTTP/1.1"), "HTTP/1.1 401 Unauthorized");
        assert_eq!(
            page("/metrics HTTP/1.1\r\nauthorization: Bearer x"),
            "HTTP/1.1 401 Unauthorized"
        );
        assert_eq!(
            page("/metrics HTTP/1.1\r\nauthorization: Bearer t0ken"),
            "HTTP/1.1 200 OK"
        );
    }

    /// The first line and the body of the answer.
    fn page(address: SocketAddr, path: &str) -> (String, String) {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.lines().next().unwrap().into(), body.into())
    }
}
