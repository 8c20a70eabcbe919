//! Requests and answers.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request as HttpRequest, header};
use axum::response::Response;
use serde_json::Value;
use tower::ServiceExt;

use crate::contract::Contract;

/// A request to be sent.
pub struct Request {
    pub router: Router,
    pub contract: Option<Arc<Contract>>,
    pub method: String,
    /// With its query.
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

impl Request {
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub fn token(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    pub fn if_match(self, tag: &str) -> Self {
        self.header("if-match", tag)
    }

    pub fn json(self, body: Value) -> Self {
        self.body("application/json", body.to_string())
    }

    pub fn body(mut self, media_type: &str, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self.header("content-type", media_type)
    }

    /// The answer as it begins, its body not read.
    pub async fn begin(self) -> Response {
        let mut request = HttpRequest::builder().method(&*self.method).uri(&*self.path);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        self.router.oneshot(request.body(Body::from(self.body)).unwrap()).await.unwrap()
    }

    /// The whole answer, which must be one that the document promises.
    pub async fn send(self) -> Answer {
        let (contract, method, path) = (self.contract.clone(), self.method.clone(), self.path.clone());
        let (parts, body) = self.begin().await.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let answer = Answer { status: parts.status.as_u16(), headers: parts.headers, body };
        answer.check_headers();
        if let Some(contract) = contract {
            let path = path.split('?').next().unwrap();
            contract.check(&method, path, answer.status, &answer.headers, &answer.body);
        }
        answer
    }
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    #[track_caller]
    pub fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        self
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn text(&self, header: &str) -> &str {
        self.headers[header].to_str().unwrap()
    }

    pub fn etag(&self) -> &str {
        self.text("etag")
    }

    /// Its kind of problem.
    pub fn slug(&self) -> String {
        let problem = self.json();
        problem["type"].as_str().unwrap().strip_prefix("/problems/").unwrap().to_owned()
    }

    /// What every answer has.
    fn check_headers(&self) {
        assert_eq!(self.text("cache-control"), "no-store");
        assert_eq!(self.text("x-content-type-options"), "nosniff");
        let id = self.text("x-request-id");
        assert!(!id.is_empty());
        assert_eq!(self.text("traceresponse").len(), 55);
        if self.status >= 400 && self.headers[header::CONTENT_TYPE] == "application/problem+json" {
            let problem = self.json();
            assert_eq!(problem["request_id"], id);
            assert_eq!(problem["status"], self.status);
            assert!(!problem["detail"].as_str().unwrap().is_empty());
        } else if self.status >= 400 {
            assert_eq!(self.status, 503, "only /readyz has a body of its own");
        }
    }
}
