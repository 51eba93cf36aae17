//! Joins by one HTTP call with an offer, whose answer is the rest: the yardstick.

use super::Ask;
use crate::load::Failure;
use crate::load::http::{Url, ask};
use crate::load::leg::Remote;

/// A yardstick, or a server that speaks as it does.
pub(crate) struct SdpHttp(pub(crate) Url);

impl SdpHttp {
    pub(crate) async fn join(&self, it: Ask<'_>) -> Result<Remote, Failure> {
        let member = it.member;
        let wanted = member.last_n.unwrap_or(usize::MAX);
        let names: Vec<_> = member
            .receives
            .iter()
            .take(wanted)
            .map(usize::to_string)
            .collect();
        let path = format!(
            "/join?room={}&ep={}&send={}&recv={}",
            member.room,
            member.id,
            u8::from(member.sends),
            names.join(",")
        );
        let offer = it.offer(member.sends, names.len());
        let answer = ask(&self.0, "POST", &path, "application/sdp", &offer)
            .await?
            .good()?;
        it.remote(&answer)
            .ok_or_else(|| Failure(format!("an answer without a transport: {answer}")))
    }
}
