//! Speaks as much HTTP/1.1 as joining takes: one request, one answer, one connection.

use core::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Failure, failure};

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Bytes of the longest answer.
const ANSWER_MAX: u64 = 4 << 20;

/// An `http://` address taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    /// Host and port.
    pub(crate) authority: String,
    /// Path without a slash at the end.
    pub(crate) path: String,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Url {
    /// Takes an address apart.
    ///
    /// # Errors
    /// When it is not `http://`.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let rest = text
            .strip_prefix("http://")
            .ok_or_else(|| Failure(format!("{text}: only http:// is spoken")))?;
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let authority = if host.contains(':') {
            host.to_owned()
        } else {
            format!("{host}:80")
        };
        let path = format!("/{path}");
        Ok(Self {
            authority,
            path: path.trim_end_matches('/').to_owned(),
        })
    }

    /// The address that `place` means here (RFC 3986 section 5.2): a whole one, one of this server,
    /// or one beside this.
    pub(crate) fn join(&self, place: &str) -> Option<Self> {
        if place.contains("://") {
            return Self::parse(place).ok();
        }
        if place.starts_with("//") {
            return Self::parse(&format!("http:{place}")).ok();
        }
        let own = self.path.split('?').next().unwrap_or_default();
        let path = match place.chars().next() {
            Some('/') => place.to_owned(),
            Some('?') => format!("{own}{place}"),
            _ => {
                let folder = own.rsplit_once('/').map_or("", |(folder, _)| folder);
                format!("{folder}/{place}")
            }
        };
        Some(Self {
            authority: self.authority.clone(),
            path: without_dots(&path),
        })
    }
}

impl Answer {
    /// The body of a good answer.
    ///
    /// # Errors
    /// When it is none.
    pub(crate) fn good(self) -> Result<String, Failure> {
        if (200..300).contains(&self.status) {
            Ok(self.body)
        } else {
            Err(Failure(format!(
                "HTTP {}: {}",
                self.status,
                self.body.trim()
            )))
        }
    }
}

/// Asks with a body of one kind, at a path below an address.
///
/// # Errors
/// When there is no answer in time, or none that can be read.
pub(crate) async fn ask(
    url: &Url,
    method: &str,
    path: &str,
    kind: &str,
    body: &str,
) -> Result<Answer, Failure> {
    let url = Url {
        authority: url.authority.clone(),
        path: format!("{}{path}", url.path),
    };
    ask_with(&url, method, &[("Content-Type", kind)], body).await
}

/// Asks with those fields.
///
/// # Errors
/// When there is no answer in time, or none that can be read.
pub(crate) async fn ask_with(
    url: &Url,
    method: &str,
    fields: &[(&str, &str)],
    body: &str,
) -> Result<Answer, Failure> {
    let Url { authority, path } = url;
    let path = if path.is_empty() { "/" } else { path };
    let length = body.len();
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {authority}\r\n");
    for (name, value) in fields {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str(&format!(
        "Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    ));
    let exchange = async {
        let mut stream = TcpStream::connect(authority.as_str()).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut bytes = Vec::new();
        stream.take(ANSWER_MAX).read_to_end(&mut bytes).await?;
        std::io::Result::Ok(bytes)
    };
    let bytes = timeout(PATIENCE, exchange)
        .await
        .map_err(|_| Failure(format!("{authority} does not answer")))?
        .map_err(|error| failure(authority, error))?;
    read(&String::from_utf8_lossy(&bytes))
        .ok_or_else(|| Failure(format!("{authority}: an answer that is not HTTP")))
}

fn read(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let is_chunked = header(head, "transfer-encoding").is_some_and(|it| it == "chunked");
    Some(Answer {
        status,
        head: head.to_owned(),
        body: if is_chunked {
            joined(body)?
        } else {
            body.to_owned()
        },
    })
}

/// A field of an answer's head.
pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    let found = fields.find(|(it, _)| it.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.trim())
}

/// A path whose `.` and `..` are done (RFC 3986 section 5.2.4).
fn without_dots(path: &str) -> String {
    let (path, query) = path
        .split_once('?')
        .map_or((path, None), |(path, query)| (path, Some(query)));
    let mut parts = Vec::new();
    for part in path.split('/').skip(1) {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    let query = query.map_or(String::new(), |query| format!("?{query}"));
    format!("/{}{query}", parts.join("/"))
}

/// The pieces of a chunked body.
fn joined(mut body: &str) -> Option<String> {
    let mut whole = String::new();
    loop {
        let (length, rest) = body.split_once("\r\n")?;
        let length = usize::from_str_radix(length.split(';').next()?.trim(), 16).ok()?;
        if length == 0 {
            return Some(whole);
        }
        whole.push_str(rest.get(..length)?);
        body = rest.get(length..)?.strip_prefix("\r\n")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        let url = Url::parse("http://localhost:8088/janus/").unwrap();
        assert_eq!(
            (url.authority.as_str(), url.path.as_str()),
            ("localhost:8088", "/janus")
        );
        assert_eq!(url.join("/x").unwrap().path, "/x");
        assert_eq!(url.join("http://h:1/y").unwrap().authority, "h:1");
        assert_eq!(url.join("https://h:1/y"), None);
        assert_eq!(Url::parse("http://h").unwrap().authority, "h:80");
        assert!(Url::parse("https://h").is_err());
    }

    #[test]
    fn places_are_found_from_where_they_are_named() {
        let url = Url::parse("http://h:1/live/whip?room=1").unwrap();
        for (place, path) in [
            ("/r/7", "/r/7"),
            ("r/7", "/live/r/7"),
            ("./r/7?k=a/../b", "/live/r/7?k=a/../b"),
            ("../../r", "/r"),
            ("?room=2", "/live/whip?room=2"),
            ("//h:1/r", "/r"),
        ] {
            let found = url.join(place).unwrap();
            assert_eq!(
                (found.authority.as_str(), found.path.as_str()),
                ("h:1", path)
            );
        }
    }

    #[test]
    fn answers_are_read_whole_or_in_chunks() {
        let whole = read("HTTP/1.1 201 Created\r\nX: y\r\n\r\nbody").unwrap();
        assert_eq!((whole.status, whole.body.as_str()), (201, "body"));
        let chunks =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n1\r\n!\r\n0\r\n\r\n";
        assert_eq!(read(chunks).unwrap().body, "body!");
        assert!(read("nothing").is_none());
        assert!(read("HTTP/1.1 400 Bad\r\n\r\nwhy").unwrap().good().is_err());
    }
}
