//! Serves the API from a [`View`].

use std::sync::Arc;

use axum::{
    Extension, Json, Router,
    body::Bytes,
    extract::{
        DefaultBodyLimit, Path, Query, State,
        rejection::{BytesRejection, PathRejection, QueryRejection},
    },
    middleware,
    routing::{get, post},
};
use serde::Deserialize;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

use super::{
    access::{self, Access, MAX_BODY},
    connection_limits,
    failure::Failure,
    peer::{Peer, PeerListener},
    types,
    view::{Refusal, ViewReader},
};
pub use super::{
    unix_socket::{BindError, bind, bind_for_group, check_unused, unbind},
    view::View,
};
use crate::model::ServiceName;

/// Answers requests on `socket` of peers that `access` allows, until `cancel`.
pub async fn serve(
    socket: UnixListener,
    view: Arc<dyn View>,
    access: Access,
    cancel: CancellationToken,
) {
    let router = router(view).layer(middleware::from_fn_with_state(access, access::check));
    connection_limits::serve(
        PeerListener(socket),
        |peer: &Peer| router.clone().layer(Extension(peer.clone())),
        connection_limits::API,
        |peer| peer.user,
        cancel,
    )
    .await;
}

/// Returns the pages.
pub fn router(view: Arc<dyn View>) -> Router {
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/doctor", get(doctor))
        .route("/v1/support", get(support))
        .route("/v1/services", get(services))
        .route("/v1/services/{namespace}/{name}", get(service))
        .route(
            "/v1/services/{namespace}/{name}/endpoints/{endpoint}/{verb}",
            post(change_endpoint),
        )
        .route("/v1/explain", get(explain))
        .fallback(async || Failure::NoRoute)
        .method_not_allowed_fallback(async || Failure::Method)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(ViewReader::new(view))
}

async fn status(State(reader): State<ViewReader>) -> Result<Json<types::Status>, Failure> {
    Ok(Json(reader.read(View::status).await?))
}

async fn doctor(State(reader): State<ViewReader>) -> Result<Json<types::Diagnosis>, Failure> {
    Ok(Json(reader.read(View::doctor).await?))
}

async fn support(State(reader): State<ViewReader>) -> Result<Json<types::Support>, Failure> {
    Ok(Json(reader.read(View::support).await?))
}

async fn services(
    State(reader): State<ViewReader>,
    filter: Result<Query<Filter>, QueryRejection>,
) -> Result<Json<Vec<types::Service>>, Failure> {
    let Query(filter) = filter?;
    let mut services = read_services(&reader).await?;
    services.retain(|service| {
        filter
            .namespace
            .as_ref()
            .is_none_or(|namespace| service.namespace == *namespace)
    });
    Ok(Json(services))
}

async fn service(
    State(reader): State<ViewReader>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Json<types::Service>, Failure> {
    let Path((namespace, name)) = path?;
    let mut services = read_services(&reader).await?;
    if let Some(at) = services
        .iter()
        .position(|service| service.namespace == namespace && service.name == name)
    {
        return Ok(Json(services.swap_remove(at)));
    }
    let asked = (namespace.clone(), name.clone());
    let left_out = reader
        .read(move |view| view.left_out(&asked.0, &asked.1))
        .await?;
    if left_out.is_none() {
        let named = format!("service {namespace}/{name}");
        let status = reader.read(View::status).await?;
        if let Some(wrong) = status
            .wrong
            .into_iter()
            .find(|wrong| wrong.name == named && wrong.in_force == "nothing")
        {
            return Err(Failure::Wrong(Box::new(wrong)));
        }
    }
    let known = services
        .into_iter()
        .map(|it| ServiceName {
            namespace: it.namespace,
            name: it.name,
        })
        .collect();
    left_out.map(Json).ok_or(Failure::NoService {
        asked: ServiceName { namespace, name },
        known,
    })
}

/// Changes an endpoint by an operator's command.
async fn change_endpoint(
    State(reader): State<ViewReader>,
    path: Result<Path<(String, String, String, String)>, PathRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<types::CommandResult>, Failure> {
    let Path((namespace, name, endpoint, verb)) = path?;
    let options: types::CommandOptions = match body?.as_ref() {
        [] => types::CommandOptions::default(),
        body => {
            serde_json::from_slice(body).map_err(|error| Refusal::Malformed(error.to_string()))?
        }
    };
    let change = match verb.as_str() {
        "drain" => types::Change::Drain,
        "undrain" => types::Change::Undrain,
        "weight" => types::Change::Weight(options.weight),
        _ => return Err(Failure::NoRoute),
    };
    let endpoint = endpoint
        .parse()
        .map_err(|_| Refusal::Malformed(format!("`{endpoint}` is not ADDRESS:PORT")))?;
    let service = ServiceName {
        namespace: namespace.clone(),
        name: name.clone(),
    };
    let warning = reader
        .read(move |view| view.change_endpoint(service, endpoint, change, options.force))
        .await??;
    let Json(service) = self::service(State(reader), Ok(Path((namespace, name))))
        .await
        .map_err(|failure| Failure::InForce(Box::new(failure)))?;
    Ok(Json(types::CommandResult { service, warning }))
}

async fn explain(
    State(reader): State<ViewReader>,
    question: Result<Query<types::Question>, QueryRejection>,
) -> Result<Json<types::Explanation>, Failure> {
    let Query(question) = question?;
    let explained = reader.read(move |view| {
        if view.loaded() {
            view.explain(&question)
        } else {
            Err(Refusal::NotLoaded)
        }
    });
    Ok(Json(explained.await??))
}

async fn read_services(reader: &ViewReader) -> Result<Vec<types::Service>, Failure> {
    let services = |view: &dyn View| match view.loaded() {
        true => view.services().map_err(Failure::Read),
        false => Err(Refusal::NotLoaded.into()),
    };
    reader.read(services).await?
}

/// Query of `/v1/services`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    namespace: Option<String>,
}

#[cfg(test)]
mod tests;
