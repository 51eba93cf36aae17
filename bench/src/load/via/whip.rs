//! Joins over WHIP and WHEP: one HTTP exchange for each stream (RFC 9725, draft-ietf-wish-whep).

use super::Ask;
use crate::clock::wall;
use crate::load::http::{Url, ask, header};
use crate::load::leg::Remote;
use crate::load::{Failure, sdp};
use tokio::sync::Mutex;

/// A server of either.
pub(crate) struct Whip {
    /// Its address; `{action}` stands for `whip` or `whep`, `{stream}` for a stream's name.
    pattern: String,
    run: u64,
    /// What was made there, to be deleted.
    resources: Mutex<Vec<Url>>,
}

impl Whip {
    /// Without places of their own, action and stream stand at the end of the path.
    pub(crate) fn new(target: &str) -> Self {
        let pattern = if target.contains("{stream}") {
            target.to_owned()
        } else {
            format!("{}/{{action}}/{{stream}}", target.trim_end_matches('/'))
        };
        Self {
            pattern,
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
        let url = Url::parse(&address)?;
        let receives = usize::from(!it.member.sends);
        let offer = it.offer(it.member.sends, receives);
        let answer = ask(&url, "POST", "", "application/sdp", &offer).await?;
        if let Some(place) = header(&answer.head, "location") {
            self.resources.lock().await.extend(url.join(place));
        }
        let answer = answer.good()?;
        sdp::remote(&answer)
            .ok_or_else(|| Failure(format!("an answer without a transport: {answer}")))
    }

    /// Deletes what was made.
    pub(crate) async fn leave(&self) -> Result<(), Failure> {
        for url in self.resources.lock().await.drain(..) {
            ask(&url, "DELETE", "", "application/sdp", "").await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn action_and_stream_have_their_places() {
        let plain = Whip::new("http://h:1/x/");
        assert_eq!(plain.pattern, "http://h:1/x/{action}/{stream}");
        let own = "http://h:1/rtc/v1/{action}/?app=live&stream={stream}";
        assert_eq!(Whip::new(own).pattern, own);
    }
}
