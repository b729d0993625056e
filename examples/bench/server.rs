//! A server that is as fast as the machine allows and knows nothing but lists of any length. What it sends of the one
//! that is timed was made before, so that its own work does not count.

use std::convert::Infallible;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::{Body, Bytes};
use axum::http::{Method, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// What is handed to the connection at once.
const PIECE: usize = 16 << 10;

/// The list of EmBoux's mailboxes, in pieces.
pub(crate) struct Users {
    pieces: Vec<Bytes>,
    /// How many bytes it has.
    pub(crate) size: usize,
}

impl Users {
    fn new(count: usize) -> Self {
        let mut text = String::from("[");
        for id in 1..=count {
            let comma = if id == 1 { "" } else { "," };
            let _ = write!(
                text,
                r#"{comma}{{"id":{id},"email":"user{id:07}@example.com","domain_id":1,"created_at":"2026-01-05T09:00:00"}}"#
            );
        }
        text.push(']');
        let all = Bytes::from(text);
        let pieces = (0..all.len()).step_by(PIECE).map(|at| all.slice(at..all.len().min(at + PIECE))).collect();
        Users { pieces, size: all.len() }
    }
}

/// A running server.
pub(crate) struct Server {
    /// Where it listens.
    pub(crate) base_url: String,
    /// How many bytes of the list under way have been handed to its connection.
    pub(crate) sent: Arc<AtomicUsize>,
    /// The list.
    pub(crate) users: Arc<Users>,
}

impl Server {
    /// Starts a server of this many mailboxes.
    pub(crate) async fn start(count: usize) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let base_url = format!("http://{}", listener.local_addr()?);
        let (users, sent) = (Arc::new(Users::new(count)), Arc::new(AtomicUsize::new(0)));
        let shared = (users.clone(), sent.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                let (users, sent) = shared.clone();
                let service = service_fn(move |request| {
                    let (users, sent) = (users.clone(), sent.clone());
                    async move { Ok::<_, Infallible>(answer(&request, &users, &sent, count)) }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Ok(Server { base_url, sent, users })
    }
}

fn answer(request: &Request<Incoming>, users: &Arc<Users>, sent: &Arc<AtomicUsize>, count: usize) -> Response<Body> {
    let path = request.uri().path();
    if request.method() == Method::GET && path.ends_with("/users/") {
        sent.store(0, Ordering::Relaxed);
        let (users, sent) = (users.clone(), sent.clone());
        let pieces = (0..users.pieces.len()).map(move |index| {
            let piece = users.pieces[index].clone();
            sent.fetch_add(piece.len(), Ordering::Relaxed);
            Ok::<_, Infallible>(piece)
        });
        return Response::new(Body::from_stream(futures_util::stream::iter(pieces)));
    }
    let number = |name: &str, default: usize| {
        let query = url::form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes());
        query.into_iter().find(|(key, _)| key == name).and_then(|(_, value)| value.parse().ok()).unwrap_or(default)
    };
    let (page, size) = (number("page", 1), number("page_size", 25));
    let first = (page.saturating_sub(1)).saturating_mul(size) + 1;
    let items: Vec<String> = (first..(first + size).min(count + 1)).map(mailbox).collect();
    let items = items.join(",");
    Response::new(Body::from(format!(r#"{{"items":[{items}],"page":{page},"page_size":{size},"total":{count}}}"#)))
}

/// A mailbox in Hybridbox's shape.
fn mailbox(id: usize) -> String {
    format!(
        r#"{{"id":"00000000-0000-4000-8002-{id:012}","local_part":"user{id:07}","primary_email":"user{id:07}@example.com","domain_id":"00000000-0000-4000-8001-000000000001","domain_name":"example.com","first_name":"Ada","last_name":"Byron","quota":{{"allowed":5000,"used":0}},"status":"active","created_at":"2026-01-05T09:00:00Z","updated_at":"2026-01-05T09:00:00Z","workspace_id":"00000000-0000-4000-8004-000000000001","workspace_name":null}}"#
    )
}
