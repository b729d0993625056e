//! The vendors' documented samples: does an adapter read what its vendor prints, and does the sandbox print that too?

pub(crate) mod emboux;
pub(crate) mod hybridbox;
pub(crate) mod litemail;
pub(crate) mod mailinabox;
pub(crate) mod qboxmail;

use mbx::http::Method;
use mbx::sandbox::{Answer, Fault};
use serde_json::Value;

use crate::support::Ctx;

/// Makes the sandbox answer with a sample instead of acting.
pub(crate) fn answer_with(ctx: &Ctx, method: Method, path: &str, status: u16, sample: &str) {
    let headers = vec![("content-type", "application/json".to_owned())];
    ctx.sandbox.fault(Fault::instead(method, path, Answer::Raw { status, headers, body: sample.as_bytes().to_vec() }));
}

/// Asserts that `actual` has the members of `sample`, with values of the same types. Members beyond the sample are
/// allowed, and so is null on either side; arrays are compared by their first items.
#[track_caller]
pub(crate) fn assert_same_shape(sample: &Value, actual: &Value, place: &str) {
    match (sample, actual) {
        (Value::Object(sample), Value::Object(actual)) => {
            for (key, value) in sample {
                let other = actual.get(key).unwrap_or_else(|| panic!("{place}.{key} is missing"));
                assert_same_shape(value, other, &format!("{place}.{key}"));
            }
        }
        (Value::Array(sample), Value::Array(actual)) => {
            if let (Some(sample), Some(actual)) = (sample.first(), actual.first()) {
                assert_same_shape(sample, actual, &format!("{place}[0]"));
            }
        }
        (Value::Null, _) | (_, Value::Null) => {}
        (sample, actual) => assert_eq!(
            std::mem::discriminant(sample),
            std::mem::discriminant(actual),
            "{place}: {sample} and {actual} are of different types"
        ),
    }
}

/// Sends a bare request to the sandbox, as another program would, and returns status and body.
pub(crate) async fn ask(
    ctx: &Ctx,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<Value>,
) -> (u16, String) {
    ask_at(format!("{}{path}", ctx.sandbox.base_url(ctx.id)), method, headers, body).await
}

/// Sends a bare request to an address.
pub(crate) async fn ask_at(
    url: String,
    method: Method,
    headers: &[(&str, &str)],
    body: Option<Value>,
) -> (u16, String) {
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().expect("a client without TLS");
    let mut request = client.request(method, url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if let Some(body) = body {
        request = request.header("content-type", "application/json").body(body.to_string());
    }
    let response = request.send().await.expect("the sandbox answers");
    (response.status().as_u16(), response.text().await.expect("the body arrives"))
}
