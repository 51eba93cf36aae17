//! Joins over WHIP and WHEP: one HTTP exchange for each stream (RFC 9725, draft-ietf-wish-whep).
//!
//! Offers hold all candidates and so do answers, hence nothing is trickled, and servers named by
//! `Link` for ICE are not needed: the server under test is reached without a relay.

use tokio::sync::Mutex;

use super::Ask;
use crate::clock::wall;
use crate::load::Failure;
use crate::load::http::{Answer, Url, ask_with, header};
use crate::load::leg::Remote;

/// Redirections of one request that are followed.
const REDIRECTIONS_MAX: usize = 5;

/// A server of either.
pub(crate) struct Whip {
    /// Its address; `{action}` stands for `whip` or `whep`, `{stream}` for a stream's name.
    pattern: String,
    /// Who may (RFC 6750).
    bearer: Option<String>,
    run: u64,
    /// What was made there, to be deleted.
    resources: Mutex<Vec<Url>>,
}

impl Whip {
    /// Without places of their own, action and stream stand at the end of the path.
    pub(crate) fn new(target: &str, bearer: Option<&str>) -> Self {
        let pattern = if target.contains("{stream}") {
            target.to_owned()
        } else {
            format!("{}/{{action}}/{{stream}}", target.trim_end_matches('/'))
        };
        Self {
            pattern,
            bearer: bearer.map(str::to_owned),
            run: wall(),
            resources: Mutex::default(),
        }
    }

    pub(crate) async fn join(&self, it: Ask<'_>) -> Result<Remote, Failure> {
        let (action, stream) = match it.member.receives.first() {
            Some(sender) if !it.member.sends => ("whep", *sender),
            _ => ("whip", it.member.id),
        };
        let name = format!("load{:x}x{stream}", self.run);
        let address = self
            .pattern
            .replace("{action}", action)
            .replace("{stream}", &name);
        let receives = usize::from(!it.member.sends);
        let offer = it.offer(it.member.sends, receives);
        let (url, answer) = self.post(Url::parse(&address)?, &offer).await?;
        let place = header(&answer.head, "location").and_then(|place| url.join(place));
        self.resources.lock().await.extend(place.clone());
        // A WHEP server that cannot take an offer makes one itself, to be answered at the resource.
        let described = if answer.status == 406 && answer.body.starts_with("v=0") {
            let place = place.ok_or_else(|| Failure("a counter-offer of nowhere".to_owned()))?;
            let tag = header(&answer.head, "etag").unwrap_or("*");
            let fields = [("Content-Type", "application/sdp"), ("If-Match", tag)];
            let text = it.answer(&answer.body);
            self.ask(&place, "PATCH", &fields, &text).await?.good()?;
            answer.body
        } else {
            answer.good()?
        };
        it.remote(&described)
            .ok_or_else(|| Failure(format!("an answer without a transport: {described}")))
    }

    /// Offers, where redirections lead; gives the address that answered.
    async fn post(&self, mut url: Url, offer: &str) -> Result<(Url, Answer), Failure> {
        for _ in 0..REDIRECTIONS_MAX {
            let fields = [
                ("Content-Type", "application/sdp"),
                ("Accept", "application/sdp"),
            ];
            let answer = self.ask(&url, "POST", &fields, offer).await?;
            let place = header(&answer.head, "location").filter(|_| is_redirection(&answer));
            match place.and_then(|place| url.join(place)) {
                Some(place) => url = place,
                None => return Ok((url, answer)),
            }
        }
        Err(Failure(format!("{} redirects for ever", url.authority)))
    }

    async fn ask(
        &self,
        url: &Url,
        method: &str,
        fields: &[(&str, &str)],
        body: &str,
    ) -> Result<Answer, Failure> {
        let bearer = self.bearer.as_ref().map(|token| format!("Bearer {token}"));
        let bearer = bearer.as_deref().map(|value| ("Authorization", value));
        let fields: Vec<_> = fields.iter().copied().chain(bearer).collect();
        ask_with(url, method, &fields, body).await
    }

    /// Deletes what was made.
    pub(crate) async fn leave(&self) -> Result<(), Failure> {
        for url in self.resources.lock().await.drain(..) {
            self.ask(&url, "DELETE", &[], "").await?;
        }
        Ok(())
    }
}

/// Whether an answer sends the same request elsewhere (RFC 9110 section 15.4).
const fn is_redirection(answer: &Answer) -> bool {
    matches!(answer.status, 301 | 302 | 307 | 308)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    use bridge_core::SrtpProfile;

    use super::*;
    use crate::load::handshake::Identity;
    use crate::load::leg::Local;
    use crate::load::plan::Member;

    /// Answers requests in turn; gives them.
    fn serve(answers: Vec<String>) -> (String, thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serve = move || {
            let mut requests = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut bytes = [0; 8_192];
                let length = stream.read(&mut bytes).unwrap();
                requests.push(String::from_utf8_lossy(&bytes[..length]).into_owned());
                stream.write_all(answer.as_bytes()).unwrap();
            }
            requests
        };
        (url, thread::Builder::new().spawn(serve).unwrap())
    }

    #[tokio::test]
    async fn a_counter_offer_is_answered_where_it_stands() {
        let offer = "v=0\r\na=mid:0\r\na=setup:actpass\r\na=ice-ufrag:u\r\na=ice-pwd:p\r\n\
                     a=candidate:1 1 udp 1 127.0.0.1 4711 typ host\r\n";
        let head = "HTTP/1.1 406 Not Acceptable\r\nLocation: /r/1\r\nETag: \"x\"\r\n\r\n";
        let done = "HTTP/1.1 204 No Content\r\n\r\n".to_owned();
        let (url, requests) = serve(vec![format!("{head}{offer}"), done.clone(), done]);
        let whip = Whip::new(&url, None);
        let member = Member {
            id: 1,
            room: 0,
            sends: false,
            talks: false,
            receives: vec![0],
            last_n: None,
            is_sampled: false,
        };
        let ask = Ask {
            member: &member,
            local: &Local {
                ufrag: "ours".to_owned(),
                password: "secret".to_owned(),
                ssrc: 7,
                screen_ssrc: 8,
                voice_ssrc: 9,
                address: "127.64.0.1:9".parse().unwrap(),
            },
            identity: &Identity::new(SrtpProfile::AeadAes128Gcm).unwrap(),
            transport_cc: false,
            keep_ssrcs: false,
        };
        let remote = whip.join(ask).await.unwrap();
        assert_eq!(remote.address.port(), 4_711);
        assert!(!remote.controlling && remote.dtls_client);
        whip.leave().await.unwrap();
        let requests = requests.join().unwrap();
        assert!(
            requests[0].starts_with("POST /whep/load"),
            "{}",
            requests[0]
        );
        assert!(requests[1].starts_with("PATCH /r/1 ") && requests[1].contains("If-Match: \"x\""));
        assert!(requests[1].contains("a=setup:active"), "{}", requests[1]);
        assert!(requests[2].starts_with("DELETE /r/1 "));
    }

    #[test]
    fn action_and_stream_have_their_places() {
        let plain = Whip::new("http://h:1/x/", None);
        assert_eq!(plain.pattern, "http://h:1/x/{action}/{stream}");
        let own = "http://h:1/rtc/v1/{action}/?app=live&stream={stream}";
        assert_eq!(Whip::new(own, None).pattern, own);
    }
}
