//! The properties that the fuzz targets try, over the seeds that they begin with. What a target has found is among them.

mod properties;

use std::sync::atomic::Ordering;
use std::{fs, io};

use futures_util::FutureExt;
use mbx::provider::ProviderId;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use self::properties::{Answer, Answers};
use crate::http::{serve, swallow};

/// Returns the seeds of a target with their names.
fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(format!("fuzz/seeds/{target}")).expect("the target has seeds");
    let paths = entries.map(|entry| entry.expect("the entry is read").path());
    paths.map(|path| (path.display().to_string(), fs::read(&path).expect("the seed is read"))).collect()
}

fn hold(target: &str, property: fn(&[u8])) {
    for (name, seed) in seeds(target) {
        assert!(std::panic::catch_unwind(|| property(&seed)).is_ok(), "{name}");
    }
}

#[test]
fn an_address_is_plain_and_reads_again() {
    hold("address", properties::address);
}

#[test]
fn the_rows_of_a_file_are_good_and_in_order() {
    hold("rows", properties::rows);
}

#[test]
fn a_journal_reads_the_same_twice() {
    hold("journal", properties::journal);
}

#[test]
fn a_secret_does_not_show() {
    hold("redact", properties::redact);
}

/// A server gives the answers of a seed; a target gives them without one.
#[tokio::test]
async fn an_adapter_reads_whatever_a_host_answers() {
    for id in ProviderId::ALL {
        for (name, seed) in seeds(id.as_str()) {
            let answers = Answers::of(&seed).unwrap_or_else(|| panic!("{name} has no answers"));
            let most = answers.most_requests();
            let (all, piece) = (answers.all.clone(), answers.piece);
            let (base_url, count) = serve(move |number, stream| {
                let answer = all[number.min(all.len() - 1)].clone();
                give(answer, piece, stream).boxed()
            })
            .await;
            let made = properties::answered(id, &base_url, &answers).await;
            assert!(count.load(Ordering::SeqCst) <= most, "{name}: {made}");
        }
    }
}

/// Answers a request, the body in pieces.
async fn give(answer: Answer, piece: usize, mut stream: TcpStream) -> io::Result<()> {
    let Answer { status, header: (name, value), body } = answer;
    swallow(&mut stream).await?;
    let head = format!("HTTP/1.1 {status} -\r\n{name}: {value}\r\ncontent-length: {}\r\n", body.len());
    stream.write_all((head + "connection: close\r\n\r\n").as_bytes()).await?;
    for piece in body.chunks(piece) {
        stream.write_all(piece).await?;
    }
    stream.shutdown().await
}
