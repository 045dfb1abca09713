//! Words for failed requests to an API server.

use std::error::Error;

use kube::{core::Status, runtime::watcher};

/// Returns why a watch failed, in one line.
pub fn words(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => of_request(error),
        watcher::Error::WatchError(status) => of_status(status),
        watcher::Error::NoResourceVersion => "an object has no resourceVersion".to_owned(),
    }
}

/// Returns the status code of the answer, if there was one.
pub fn code(error: &watcher::Error) -> Option<u16> {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => Some(status.code),
        _ => None,
    }
}

fn of_request(error: &kube::Error) -> String {
    if let kube::Error::Api(status) = error {
        return of_status(status);
    }
    // The first causes only repeat that a request failed.
    let mut cause: &dyn Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

fn of_status(status: &Status) -> String {
    let remedy = match status.code {
        401 => "; check the token or certificate",
        403 => "; check the role of the user",
        _ => "",
    };
    format!("it answers {}: {}{remedy}", status.code, status.message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_is_told_with_its_remedy() {
        let status = Status::failure("services is forbidden", "Forbidden").with_code(403);
        let error = watcher::Error::WatchStartFailed(kube::Error::Api(status.boxed()));
        assert_eq!(
            (words(&error), code(&error)),
            (
                "it answers 403: services is forbidden; check the role of the user".to_owned(),
                Some(403)
            )
        );
    }

    #[test]
    fn innermost_cause_is_told() {
        let refused = std::io::Error::from_raw_os_error(111);
        let error = watcher::Error::WatchFailed(kube::Error::ReadEvents(refused));
        assert_eq!(words(&error), "Connection refused (os error 111)");
        assert_eq!(code(&error), None);
    }
}
