//! Takes joins over HTTP, one after the other, and hands them to the thread that forwards.

use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Write};
use std::net::{SocketAddrV4, TcpListener, TcpStream};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use crate::udp::v4;

/// Bytes of the longest request.
const REQUEST_MAX: usize = 256 * 1_024;

/// Longest wait for the rest of a request.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who joins, and whom it wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Join {
    pub(super) room: String,
    pub(super) name: String,
    pub(super) receives: Vec<String>,
}

/// Starts a thread that takes joins; each is answered by whoever takes them from `joins`.
pub(super) fn listen(
    address: SocketAddrV4,
    joins: Sender<(Join, Sender<String>)>,
) -> io::Result<SocketAddrV4> {
    let listener = TcpListener::bind(address)?;
    let local = listener.local_addr().map(v4)?.unwrap_or(address);
    thread::Builder::new()
        .name("joins".to_owned())
        .spawn(move || {
            for stream in listener.incoming().flatten() {
                // One that says nonsense is not worth ending for.
                drop(serve(stream, &joins));
            }
        })?;
    Ok(local)
}

fn serve(mut stream: TcpStream, joins: &Sender<(Join, Sender<String>)>) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut request = Vec::new();
    let mut piece = [0; 8_192];
    while !is_whole(&request) && request.len() < REQUEST_MAX {
        let length = stream.read(&mut piece)?;
        if length == 0 {
            break;
        }
        request.extend_from_slice(piece.get(..length).unwrap_or_default());
    }
    let Some(join) = read(&String::from_utf8_lossy(&request)) else {
        return stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    };
    let (reply, replies) = channel();
    let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
    joins.send((join, reply)).map_err(|_| gone(()))?;
    let answer = replies.recv().map_err(|_| gone(()))?;
    let length = answer.len();
    let text = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/sdp\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{answer}"
    );
    stream.write_all(text.as_bytes())
}

/// Whether head and body are there.
fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let mut lengths = head.lines().filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_it = name.eq_ignore_ascii_case("content-length");
        is_it.then(|| value.trim().parse::<usize>().ok())?
    });
    body.len() >= lengths.next().unwrap_or(0)
}

fn read(request: &str) -> Option<Join> {
    let target = request.split_whitespace().nth(1)?;
    let (path, query) = target.split_once('?')?;
    let mut join = Join::default();
    for field in query.split('&') {
        match field.split_once('=')? {
            ("room", value) => value.clone_into(&mut join.room),
            ("ep", value) => value.clone_into(&mut join.name),
            ("recv", value) => {
                let names = value.split(',').filter(|name| !name.is_empty());
                join.receives = names.map(str::to_owned).collect();
            }
            _ => {}
        }
    }
    (path == "/join").then_some(join)
}

/// A ufrag and a password that nobody guesses by chance; they keep no secret.
pub(super) fn credentials(number: usize) -> (String, String) {
    let random = |what: &str| RandomState::new().hash_one((what, number));
    let password = format!("{:016x}{:08x}", random("one"), random("other") >> 32);
    (format!("{number:x}{:08x}", random("ufrag") >> 32), password)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_join_is_read_from_the_address() {
        let request =
            "POST /join?room=1&ep=7&send=0&recv=1,2 HTTP/1.1\r\nContent-Length: 3\r\n\r\nv=0";
        let join = read(request).unwrap();
        assert_eq!((join.room.as_str(), join.name.as_str()), ("1", "7"));
        assert_eq!(join.receives, ["1", "2"]);
        assert!(is_whole(request.as_bytes()));
        assert!(!is_whole(&request.as_bytes()[..request.len() - 1]));
        assert!(read("GET /else?a=b HTTP/1.1").is_none());
    }
}
