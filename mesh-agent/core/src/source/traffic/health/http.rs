//! Reads HTTP probes: the request, and the expected answer.

use http::{
    header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderName, HeaderValue, TRANSFER_ENCODING},
    uri::{Authority, PathAndQuery},
};

use crate::{
    model::HttpProbe,
    source::{
        document::Value,
        field::{Field, all},
    },
};

/// Framing headers, which the probe sets itself.
const FRAMING: [HeaderName; 3] = [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING];

/// Final status codes.
const STATUS: std::ops::RangeInclusive<u16> = 200..=599;

/// Reads `http` or `https`.
pub fn read(field: Field<'_>, tls: bool) -> Option<HttpProbe> {
    field.only(&["path", "host", "headers", "status", "expectHeader"]);
    let path = field.or("path", "/".to_owned(), path);
    let headers = headers(field);
    let status = field.or("status", (200, 399), status);
    let expect_header = field.or("expectHeader", None, |field| {
        expected_header(field).map(Some)
    });
    Some(HttpProbe {
        tls,
        path: path?,
        headers: headers?,
        status: status?,
        expect_header: expect_header?,
    })
}

/// Reads path and query; a fragment is never sent.
fn path(field: Field<'_>) -> Option<String> {
    let text = field.text()?;
    let fits = text.starts_with('/')
        && text
            .parse::<PathAndQuery>()
            .is_ok_and(|path| path.as_str() == text);
    if fits {
        Some(text.to_owned())
    } else {
        field.expected("a path and perhaps a query, like /healthz?full")
    }
}

/// Reads `host` and `headers`.
fn headers(probe: Field<'_>) -> Option<Vec<(String, String)>> {
    let host = probe.or("host", None, |field| host(field).map(Some));
    let given = probe.get("headers").map_or(Some(Vec::new()), |field| {
        read_headers(field, probe.get("host").is_some())
    });
    Some(
        host?
            .into_iter()
            .map(|host| (HOST.to_string(), host))
            .chain(given?)
            .collect(),
    )
}

fn host(field: Field<'_>) -> Option<String> {
    let text = field.text()?;
    let fits = !text.contains('@') && text.parse::<Authority>().is_ok();
    if fits {
        Some(text.to_owned())
    } else {
        field.expected("a host name, perhaps with a port")
    }
}

fn read_headers(field: Field<'_>, has_host: bool) -> Option<Vec<(String, String)>> {
    let headers = all(field
        .mapping()?
        .children()
        .map(|field| Some((field, header(field)?))))?;
    for (position, (field, (name, _))) in headers.iter().enumerate() {
        if FRAMING.iter().any(|framing| framing == name) {
            return field.error("the probe sets this header itself");
        }
        if has_host && *name == HOST {
            return field.error("given as `host` already");
        }
        if headers[..position]
            .iter()
            .any(|(_, (earlier, _))| earlier == name)
        {
            return field.error("given twice: upper and lower case do not matter");
        }
    }
    Some(
        headers
            .into_iter()
            .map(|(_, (name, value))| (name.to_string(), value))
            .collect(),
    )
}

/// Reads exactly one header.
fn expected_header(field: Field<'_>) -> Option<(String, String)> {
    let headers: Vec<Field<'_>> = field.mapping()?.children().collect();
    match &*headers {
        [one] => header(*one).map(|(name, value)| (name.to_string(), value)),
        several => field.error(format!(
            "expected exactly one header, found {}",
            several.len()
        )),
    }
}

fn header(field: Field<'_>) -> Option<(HeaderName, String)> {
    let name = field.name().and_then(|name| name.parse().ok());
    let name = name.or_else(|| field.error("not the name of a header"));
    let value = match field.value() {
        Value::Text(text) | Value::Number(text) if HeaderValue::from_str(text).is_ok() => {
            Some(text.to_string())
        }
        _ => field.expected("the text of a header, in one line"),
    };
    Some((name?, value?))
}

/// Reads `200` or `200-399`.
fn status(field: Field<'_>) -> Option<(u16, u16)> {
    let text = match field.value() {
        Value::Number(text) | Value::Text(text) => text,
        _ => "",
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let code = |text: &str| {
        text.trim()
            .parse()
            .ok()
            .filter(|code| STATUS.contains(code))
    };
    let range = code(first)
        .zip(code(last))
        .filter(|(first, last)| first <= last);
    range.or_else(|| field.expected("a status from 200 to 599, or first and last like 200-399"))
}
