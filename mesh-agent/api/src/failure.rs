//! Answers to requests that failed: status and JSON body.

use axum::{
    Json,
    extract::rejection::{BytesRejection, PathRejection, QueryRejection},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{
    suggestions, types,
    view::{Refusal, Stopped},
};
use crate::model::{ServiceName, place};

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error(
        "no such page; there are /v1/status, /v1/doctor, /v1/support, /v1/services, /v1/services/NAMESPACE/NAME, /v1/explain?to=ADDRESS:PORT and, \
         for POST, /v1/services/NAMESPACE/NAME/endpoints/ADDRESS:PORT/ with drain, undrain or weight"
    )]
    NoRoute,
    #[error("use GET, and POST for drain, undrain and weight")]
    Method,
    /// A part of the request that cannot be read.
    #[error("{1}")]
    Unreadable(StatusCode, String),
    #[error("{}", suggestions::no_service(asked, known))]
    NoService {
        asked: ServiceName,
        known: Vec<ServiceName>,
    },
    #[error("{} is left out because of {}; `meshctl status` says what is wrong", .0.name, place(&.0.file, .0.line))]
    Wrong(Box<types::Wrong>),
    #[error("{0}")]
    Read(String),
    /// The command succeeded. Only the service, which the answer shows, cannot be read.
    #[error("the change is in force, but the service cannot be read after it: {0}")]
    InForce(Box<Self>),
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

macro_rules! unreadable {
    ($($rejection:ident)*) => {
        $(impl From<$rejection> for Failure {
            fn from(it: $rejection) -> Self {
                Self::Unreadable(it.status(), it.body_text())
            }
        })*
    };
}

// Answered in JSON, like every error.
unreadable!(QueryRejection PathRejection BytesRejection);

impl Failure {
    /// Returns the status of the answer.
    fn code(&self) -> StatusCode {
        match self {
            Self::NoRoute | Self::NoService { .. } | Self::Wrong(_) => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Unreadable(code, _) => *code,
            Self::Refused(Refusal::Malformed(_)) => StatusCode::BAD_REQUEST,
            Self::Refused(Refusal::Unknown(_)) => StatusCode::NOT_FOUND,
            Self::Refused(Refusal::Declined(_)) => StatusCode::CONFLICT,
            Self::Refused(Refusal::NotLoaded | Refusal::Failed(_)) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Read(_) | Self::InForce(_) | Self::Stopped(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let answer = (
            self.code(),
            Json(types::ApiError {
                error: self.to_string(),
            }),
        );
        match self {
            Self::Refused(Refusal::NotLoaded) => {
                ([(header::RETRY_AFTER, "1")], answer).into_response()
            }
            _ => answer.into_response(),
        }
    }
}
