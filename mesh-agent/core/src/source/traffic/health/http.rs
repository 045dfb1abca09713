//! HTTP probes: the request, and the expected answer.

use http::{
    header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderName, HeaderValue, TRANSFER_ENCODING},
    uri::{Authority, PathAndQuery},
};

use schemars::{JsonSchema, Schema, json_schema};
use serde::Deserialize;

use crate::{
    model::{HttpProbe, Probe},
    source::{
        document::Value,
        field::{Field, all, expected},
        setting::{Entries, Kind, Plain, Scalar, Setting, Wrong},
        value::text,
    },
};

/// Framing headers, which the probe sets itself.
const FRAMING: [HeaderName; 3] = [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING];

/// The form of a path, for messages.
const PATH: &str = "a path and perhaps a query, like /healthz?full";

/// The form of a status, for messages.
const STATUS_FORM: &str = "a status from 200 to 599, or first and last like 200-399";

/// Final status codes.
const STATUS: std::ops::RangeInclusive<u16> = 200..=599;

/// A GET request, and the expected answer.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[schemars(rename = "HttpProbe")]
pub struct HttpForm {
    /// Path and query.
    path: Plain<PathText>,
    /// Name in the request.
    #[schemars(extend("x-default" = "the endpoint's address"))]
    host: Plain<Host>,
    /// Further headers of the request.
    headers: Setting<Entries<Scalar<HeaderText>>>,
    /// Range of good status codes.
    status: Plain<Status>,
    /// Header that a good answer has; just one.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
    expect_header: Setting<Entries<Scalar<HeaderText>>>,
}

impl Default for HttpForm {
    fn default() -> Self {
        Self {
            path: Plain::default_to("/".to_owned()),
            host: Setting::Absent,
            headers: Setting::Absent,
            status: Plain::default_to((200, 399)),
            expect_header: Setting::Absent,
        }
    }
}

impl HttpForm {
    /// Converts to the model. `field` is the mapping.
    pub fn model(self, field: Field<'_>, tls: bool) -> Option<Probe> {
        let has_host = field.get("host").is_some();
        let given = self.headers.convert(Vec::new(), |values| {
            let headers = all(pairs(field.get("headers")?, values))?;
            distinct(&headers, has_host)?;
            Some(headers.into_iter().map(|(_, header)| header).collect())
        });
        let expect_header = self.expect_header.convert(None, |values| {
            one(field.get("expectHeader")?, values).map(Some)
        });
        let host = self.host.optional()?.map(|host| (HOST, host));
        let headers = host.into_iter().chain(given?).map(named);
        Some(Probe::Http(HttpProbe {
            tls,
            path: self.path.value()?,
            headers: headers.collect(),
            status: self.status.value()?,
            expect_header: expect_header?.map(named),
        }))
    }
}

/// A header of a request or an answer.
type Header = (HeaderName, String);

fn named((name, value): Header) -> (String, String) {
    (name.to_string(), value)
}

/// Returns the headers of a mapping with their fields; reports a name that is none.
fn pairs(
    field: Field<'_>,
    values: Entries<Scalar<HeaderText>>,
) -> impl Iterator<Item = Option<(Field<'_>, Header)>> {
    field.children().zip(values.0).map(|(field, value)| {
        let parsed = field.name().and_then(|name| name.parse().ok());
        let name = parsed.or_else(|| field.error("not the name of a header"));
        Some((field, (name?, value.value()?)))
    })
}

/// Reports a header that cannot be given, or not again.
fn distinct(headers: &[(Field<'_>, Header)], has_host: bool) -> Option<()> {
    for (position, (field, (name, _))) in headers.iter().enumerate() {
        if FRAMING.iter().any(|framing| framing == name) {
            return field.error("the probe sets this header itself");
        }
        if has_host && *name == HOST {
            return field.error("given as `host` already");
        }
        let mut earlier = headers[..position].iter();
        if earlier.any(|(_, (earlier, _))| earlier == name) {
            return field.error("given twice: upper and lower case do not matter");
        }
    }
    Some(())
}

/// Returns exactly one header.
fn one(field: Field<'_>, values: Entries<Scalar<HeaderText>>) -> Option<Header> {
    let several = values.0.len();
    if several != 1 {
        return field.error(format!("expected exactly one header, found {several}"));
    }
    pairs(field, values).next()?.map(|(_, header)| header)
}

/// Path and query; a fragment is never sent.
struct PathText;

impl Kind for PathText {
    type Value = String;

    fn read(value: &Value<'_>) -> Result<String, Wrong> {
        let text = text(value)?;
        let is_path = |path: PathAndQuery| path.as_str() == text;
        if text.starts_with('/') && text.parse().is_ok_and(is_path) {
            Ok(text.to_owned())
        } else {
            Err(Wrong::expected(PATH))
        }
    }

    fn schema() -> Schema {
        json_schema!({"type": "string", "pattern": "^/", "errorMessage": expected(PATH)})
    }

    fn json(value: &String) -> serde_json::Value {
        value.as_str().into()
    }
}

/// Host name, perhaps with a port.
struct Host;

impl Kind for Host {
    type Value = String;

    fn read(value: &Value<'_>) -> Result<String, Wrong> {
        let text = text(value)?;
        if !text.contains('@') && text.parse::<Authority>().is_ok() {
            Ok(text.to_owned())
        } else {
            Err(Wrong::expected("a host name, perhaps with a port"))
        }
    }

    fn schema() -> Schema {
        json_schema!({"type": "string"})
    }
}

/// Text of a header, which may look like a number.
struct HeaderText;

impl Kind for HeaderText {
    type Value = String;

    fn read(value: &Value<'_>) -> Result<String, Wrong> {
        match value {
            Value::Text(text) | Value::Number(text) if HeaderValue::from_str(text).is_ok() => {
                Ok(text.to_string())
            }
            _ => Err(Wrong::expected("the text of a header, in one line")),
        }
    }

    fn schema() -> Schema {
        json_schema!({"type": ["string", "number"]})
    }
}

/// First and last status code, like `200-399`, or only one, like `200`.
struct Status;

impl Kind for Status {
    type Value = (u16, u16);

    fn read(value: &Value<'_>) -> Result<(u16, u16), Wrong> {
        let text = match value {
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
        code(first)
            .zip(code(last))
            .filter(|(first, last)| first <= last)
            .ok_or(Wrong::expected(STATUS_FORM))
    }

    fn schema() -> Schema {
        json_schema!({
            "type": ["integer", "string"],
            "minimum": STATUS.start(),
            "maximum": STATUS.end(),
            "pattern": "^ *[2-5][0-9][0-9] *(- *[2-5][0-9][0-9] *)?$",
            "errorMessage": expected(STATUS_FORM),
        })
    }

    fn json((first, last): &(u16, u16)) -> serde_json::Value {
        format!("{first}-{last}").into()
    }
}
