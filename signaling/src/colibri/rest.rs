//! Serves colibri2 over HTTP: `POST /colibri/v2/conferences` and
//! `PATCH /colibri/v2/conferences/ID`.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch};
use axum::{Json, Router};
use bytes::Bytes;

use super::json;
use super::model::{Colibri, ColibriError, ConferenceModify};
use crate::http::server::punctual;
use crate::jingle::Malformed;
use crate::seam::MediaEngine;

/// The routes.
pub fn routes<M: MediaEngine>(colibri: Arc<Colibri<M>>) -> Router {
    let router = Router::new()
        .route(
            "/colibri/v2/conferences",
            get(not_implemented).post(create::<M>),
        )
        .route("/colibri/v2/conferences/{id}", patch(update::<M>))
        .with_state(colibri);
    punctual(router)
}

async fn not_implemented() -> StatusCode {
    StatusCode::NOT_IMPLEMENTED
}

async fn create<M: MediaEngine>(State(colibri): State<Arc<Colibri<M>>>, body: Bytes) -> Response {
    match json::read(&body, None) {
        Ok(request) => modify(&colibri, request).await,
        Err(error) => malformed(&error),
    }
}

async fn update<M: MediaEngine>(
    State(colibri): State<Arc<Colibri<M>>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Response {
    match json::read(&body, Some(&id)) {
        Ok(request) if request.create => {
            malformed(&Malformed::because("a conference is created by POST"))
        }
        Ok(request) => modify(&colibri, request).await,
        Err(error) => malformed(&error),
    }
}

async fn modify<M: MediaEngine>(colibri: &Colibri<M>, request: ConferenceModify) -> Response {
    let created = request.create;
    match colibri.modify(request).await {
        Ok(answer) => Json(json::write(&answer)).into_response(),
        Err(error) => {
            let status = match &error {
                ColibriError::ConferenceUnknown(_) | ColibriError::EndpointUnknown(_)
                    if !created =>
                {
                    StatusCode::NOT_FOUND
                }
                ColibriError::NotImplemented(_) => StatusCode::NOT_IMPLEMENTED,
                _ => StatusCode::BAD_REQUEST,
            };
            (status, error.to_string()).into_response()
        }
    }
}

fn malformed(error: &Malformed) -> Response {
    (StatusCode::BAD_REQUEST, error.to_string()).into_response()
}
