//! Decides which peers may make which request, and records each change.

use std::error::Error;

use axum::{
    Extension, Json,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{Method, StatusCode},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http_body_util::LengthLimitError;
use tracing::info;

use super::{failure::Failure, group::Group, peer::Peer, types::ApiError};

/// What a request needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Right {
    Read,
    Change,
}

/// The right that each verb of the API needs. A verb that is not listed needs [`Right::Change`].
const VERBS: [(Method, &str, Right); 8] = [
    (Method::GET, "status", Right::Read),
    (Method::GET, "doctor", Right::Read),
    // Has settings, metrics and the log.
    (Method::GET, "support", Right::Change),
    (Method::GET, "services", Right::Read),
    (Method::GET, "explain", Right::Read),
    (Method::POST, "drain", Right::Change),
    (Method::POST, "undrain", Right::Change),
    (Method::POST, "weight", Right::Change),
];

/// Groups that may use the API. Root and the agent's own user may do everything.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Access {
    /// May open the socket and read.
    pub readers: Option<Group>,
    /// May also change, if its members can open the socket.
    pub admins: Option<Group>,
}

impl Access {
    /// Returns the group that the socket belongs to.
    pub fn socket_group(&self) -> Option<&Group> {
        self.readers.as_ref().or(self.admins.as_ref())
    }

    fn allows(&self, peer: &Peer, right: Right) -> bool {
        let is_in = |group: &Option<Group>| {
            group
                .as_ref()
                .is_some_and(|group| peer.groups.contains(&group.id()))
        };
        let is_owner = peer.user == 0 || peer.user == nix::unistd::geteuid().as_raw();
        is_owner || is_in(&self.admins) || right == Right::Read && is_in(&self.readers)
    }

    /// Returns the words for a peer that lacks the right.
    fn refusal(&self, peer: &Peer, verb: &str) -> String {
        let other = match &self.admins {
            Some(group) => format!("as a member of group {group}"),
            None => "set --admin-group for the agent and join that group".to_owned(),
        };
        format!(
            "user {} may read, but not {verb}: run it as root, or {other}",
            peer.user
        )
    }
}

/// Returns the last word of a path that changes, or the first after the version of one that reads.
fn verb<'a>(method: &Method, path: &'a str) -> &'a str {
    let mut words = path.split('/').filter(|word| !word.is_empty());
    match *method {
        Method::GET => words.nth(1).unwrap_or_default(),
        _ => words.next_back().unwrap_or_default(),
    }
}

fn right(method: &Method, verb: &str) -> Right {
    let mut known = VERBS.iter();
    known
        .find(|(with, known, _)| (with, *known) == (method, verb))
        .map_or(Right::Change, |(_, _, right)| *right)
}

/// Passes on what the peer may do, and answers everything else with 403. Changes, and attempts to
/// change, are logged with target `audit`.
pub(crate) async fn check(
    State(access): State<Access>,
    Extension(peer): Extension<Peer>,
    request: Request,
    next: Next,
) -> Response {
    let verb = verb(request.method(), request.uri().path()).to_owned();
    let is_allowed = access.allows(&peer, right(request.method(), &verb));
    if request.method() == Method::GET {
        return match is_allowed {
            true => next.run(request).await,
            false => forbidden(access.refusal(&peer, &verb)),
        };
    }
    let (asked, request) = described(request).await;
    let answer = match (is_allowed, request) {
        (false, _) => forbidden(access.refusal(&peer, &verb)),
        (true, Ok(request)) => next.run(request).await,
        (true, Err(failure)) => failure.into_response(),
    };
    record(&peer, &asked, answer.status());
    answer
}

fn forbidden(error: String) -> Response {
    (StatusCode::FORBIDDEN, Json(ApiError { error })).into_response()
}

/// Most bytes of a request body; bodies are short commands.
pub(crate) const MAX_BODY: usize = 16 * 1024;

/// Returns the words of a request, and the request unless its body cannot be read.
async fn described(request: Request) -> (String, Result<Request, Failure>) {
    let (head, body) = request.into_parts();
    let asked = format!("{} {}", head.method, unescaped(head.uri.path()));
    match to_bytes(body, MAX_BODY).await {
        Err(error) => (asked, Err(unreadable(&error))),
        Ok(body) => {
            let options = String::from_utf8_lossy(&body);
            let asked = format!("{asked} {options}").trim_end().to_owned();
            (asked, Ok(Request::from_parts(head, Body::from(body))))
        }
    }
}

/// Returns why a body cannot be read: it is too long, or broken.
fn unreadable(error: &axum::Error) -> Failure {
    let is_too_long = error
        .source()
        .is_some_and(<dyn Error>::is::<LengthLimitError>);
    let code = if is_too_long {
        StatusCode::PAYLOAD_TOO_LARGE
    } else {
        StatusCode::BAD_REQUEST
    };
    Failure::Unreadable(code, error.to_string())
}

/// Undoes percent-encoding.
fn unescaped(path: &str) -> String {
    let mut parts = path.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let byte = part
            .get(..2)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match byte {
            Some(byte) => {
                bytes.push(byte);
                bytes.extend_from_slice(&part.as_bytes()[2..]);
            }
            None => bytes.extend_from_slice(format!("%{part}").as_bytes()),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn record(peer: &Peer, asked: &str, result: StatusCode) {
    info!(
        target: "audit",
        user = peer.user,
        pid = peer.process.unwrap_or_default(),
        command = peer.command(),
        request = asked,
        result = %result,
        "audit"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(user: u32, groups: &[u32]) -> Peer {
        Peer {
            user,
            process: None,
            groups: groups.to_vec(),
        }
    }

    fn access() -> Access {
        Access {
            readers: Some("77".parse().unwrap()),
            admins: Some("88".parse().unwrap()),
        }
    }

    #[test]
    fn readers_read_admins_change_and_others_do_nothing() {
        let rights = |access: &Access, user, groups: &[u32]| {
            [Right::Read, Right::Change].map(|right| access.allows(&peer(user, groups), right))
        };
        let both = access();
        assert_eq!(rights(&both, 0, &[]), [true, true]);
        assert_eq!(rights(&both, 1000, &[1000, 77]), [true, false]);
        assert_eq!(rights(&both, 1000, &[77, 88]), [true, true]);
        assert_eq!(rights(&both, 1000, &[1000]), [false, false]);
        assert_eq!(rights(&Access::default(), 1000, &[0, 77]), [false, false]);
    }

    #[test]
    fn each_request_needs_the_right_of_its_verb() {
        let right = |method: Method, path: &str| right(&method, verb(&method, path));
        for path in [
            "/v1/status",
            "/v1/doctor",
            "/v1/services",
            "/v1/services/shop/drain",
            "/v1/explain",
        ] {
            assert_eq!(right(Method::GET, path), Right::Read, "{path}");
        }
        let endpoint = "/v1/services/status/status/endpoints/10.0.0.1:80";
        for path in ["drain", "undrain", "weight", "", "stop", "status"] {
            let path = format!("{endpoint}/{path}");
            assert_eq!(right(Method::POST, &path), Right::Change, "{path}");
        }
        for path in ["/", "/v1", "/v1/new", "/v1/support", "/v2"] {
            assert_eq!(right(Method::GET, path), Right::Change, "{path}");
        }
        assert_eq!(right(Method::HEAD, "/v1/status"), Right::Change);
        let changes = [
            crate::types::Change::Drain,
            crate::types::Change::Undrain,
            crate::types::Change::Weight(None),
        ];
        let known = |change: crate::types::Change| {
            VERBS.contains(&(Method::POST, change.verb(), Right::Change))
        };
        assert!(changes.into_iter().all(known));
    }

    #[test]
    fn refusal_says_what_to_do() {
        let own = Access {
            admins: None,
            ..access()
        };
        assert_eq!(
            own.refusal(&peer(1000, &[]), "drain"),
            "user 1000 may read, but not drain: run it as root, or set --admin-group for the agent and join that group"
        );
        assert_eq!(
            access().refusal(&peer(1000, &[]), "weight"),
            "user 1000 may read, but not weight: run it as root, or as a member of group 88"
        );
    }

    #[tokio::test]
    async fn words_of_a_request_have_its_path_and_options() {
        let words = async |path: &str, body: &'static str| {
            let request = Request::post(path).body(Body::from(body)).unwrap();
            described(request).await.0
        };
        let path = "/v1/services/shop/cart/endpoints/10.0.0.1%3A80/weight";
        assert_eq!(
            words(path, r#"{"weight":5}"#).await,
            r#"POST /v1/services/shop/cart/endpoints/10.0.0.1:80/weight {"weight":5}"#
        );
        assert_eq!(words("/a%zz%2", "").await, "POST /a%zz%2");
    }

    #[test]
    fn nothing_of_a_body_above_the_limit_is_passed_on() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let long = Body::from(vec![b'x'; MAX_BODY + 1]);
        let request = Request::post("/v1/drain").body(long).unwrap();
        assert!(runtime.block_on(described(request)).1.is_err());
    }
}
