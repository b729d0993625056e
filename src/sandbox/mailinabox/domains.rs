//! The routes of domains and of their DNS, which nobody sets: they follow from accounts and aliases.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::{Value, json};

use super::http::{pretty, text};
use super::login::with;
use super::names::PRIMARY;
use super::records;
use crate::sandbox::store::Store;

type Shared = State<Arc<Store>>;

pub(super) async fn list(State(store): Shared, headers: HeaderMap) -> Response {
    // In no stable order: nobody may rely on one.
    with(&store, &headers, |account| {
        let lines = records::domains(account).iter().rev().map(|name| format!("{name}\n")).collect::<String>();
        Ok(text(lines))
    })
}

pub(super) async fn zones(State(store): Shared, headers: HeaderMap) -> Response {
    with(&store, &headers, |account| {
        Ok(pretty(&records::zones(account).into_iter().map(|(zone, _)| Value::from(zone)).collect()))
    })
}

pub(super) async fn dump(State(store): Shared, headers: HeaderMap) -> Response {
    let record = |qname: &str, rtype: &str, value: &str, explanation: &str| json!({ "explanation": explanation, "qname": qname, "rtype": rtype, "value": value });
    let zone_json = |(zone, mut inside): (String, Vec<String>)| {
        inside.sort_by_key(String::len);
        let records = inside.iter().flat_map(|name| {
            [
                record(name, "A", "203.0.113.10", "Required. The address of the box."),
                record(name, "MX", &format!("10 {PRIMARY}."), "Required. Where mail for this domain goes."),
                record(name, "TXT", "v=spf1 mx -all", "Recommended. Who may send for this domain."),
            ]
        });
        json!([zone, records.collect::<Vec<_>>()])
    };
    with(&store, &headers, |account| Ok(pretty(&records::zones(account).into_iter().map(zone_json).collect())))
}

pub(super) async fn version(State(store): Shared, headers: HeaderMap) -> Response {
    with(&store, &headers, |_| Ok(text("v75")))
}
