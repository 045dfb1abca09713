//! Serves Prometheus metrics, read from the [`View`] at the time of the scrape.

mod listen;
mod load;
mod scrape;
mod self_probe;
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
                connection_limits::serve(
                    tcp,
                    |_| router.clone(),
                    connection_limits::METRICS,
                    peer,
                    cancel,
                )
                .await;
            }
            Listener::Unix(unix) => {
                connection_limits::serve(
                    unix,
                    |_| router.clone(),
                    connection_limits::METRICS,
                    |_| (),
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
fn peer(address: &SocketAddr) -> IpAddr {
    let address = address.ip().to_canonical();
    if address.is_loopback() {
        Ipv4Addr::LOCALHOST.into()
    } else {
        address
    }
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
pub fn scrape(view: &dyn View) -> Result<Bytes, String> {
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
        self.encode_self_probe(&mut encoder)?;
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
        let ready_help = "1 when the kernel has what the configuration says, except for single objects with errors";
        family(encoder, "mesh_agent_ready", ready_help, MetricType::Gauge)?
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
        let valid_help = "1 when the configuration has no errors";
        family(
            encoder,
            "mesh_agent_config_valid",
            valid_help,
            MetricType::Gauge,
        )?
        .encode_gauge(&u32::from(*config_valid))?;
        let wrong_help = "Objects, files and directories whose current version is not in force";
        family(
            encoder,
            "mesh_agent_config_wrong",
            wrong_help,
            MetricType::Gauge,
        )?
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
                    port.counters[counter],
                )?;
            }
        }
        Ok(())
    }

    /// Endpoints without a health check have no value.
    fn encode_health(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let with_health = self
            .endpoints()
            .filter_map(|(service, port, it)| Some((service, port, it, it.health.as_ref()?)));
        let mut checked = with_health.filter(|(_, _, _, health)| health.is_checked());
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
                .encode_gauge(&u32::from(!health.is_unhealthy()))?;
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
mod tests;
