//! Who asks, and whether they may: the one place where that is decided, before a handler sees anything of a request.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{FromRequestParts, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tamis_catalog::audit::AuditEntry;
use tamis_catalog::roles::Permission;
use tamis_catalog::tokens::Token;
use tamis_catalog::{Action, Actor, Change};
use tamis_model::time::Millis;
use tokio::time::{Instant, timeout_at};

use crate::app::App;
use crate::extract::Deadline;
use crate::observe;
use crate::problem::{Problem, ProblemKind};
use crate::refusals::cut;
use crate::tokens::Shown;

/// How long an answer may still take when the body came at the last moment.
const ANSWER_MARGIN: Duration = Duration::from_secs(1);
/// Between two lines of log about tokens that are worth nothing.
const WARN_INTERVAL_MS: Millis = 10_000;

/// What a route asks of whoever uses it. Every route has one, see [`crate::routes::Routes`].
#[derive(Clone, Copy, Debug)]
pub(crate) enum Access {
    /// Nothing, not even a token.
    Open,
    /// A token that may look.
    Read(Permission),
    /// A token that may do it; tries without are kept in the audit log, one a minute.
    Write(Permission, Action),
    /// A token; which of these permissions it needs depends on the body, and the handler must ask by [`Undecided::require`].
    ByBody(&'static [Permission]),
}

impl Access {
    /// Each of the permissions that can be enough; none for what is open.
    pub fn permissions(&self) -> &[Permission] {
        match self {
            Self::Open => &[],
            Self::Read(permission) | Self::Write(permission, _) => std::slice::from_ref(permission),
            Self::ByBody(permissions) => permissions,
        }
    }
}

/// Who asks, and may.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub token: Token,
    actor: Actor,
}

impl Caller {
    fn new(token: Token) -> Self {
        let actor = Actor { subject: token.subject.clone(), token_id: Some(token.id.clone()) };
        Self { token, actor }
    }

    /// Who it is, for what is kept.
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// What they do, as it is kept.
    pub fn change<'a>(&'a self, app: &App, why: Option<&'a str>) -> Change<'a> {
        Change { actor: &self.actor, why, at: app.now() }
    }
}

/// Who asks; whether they may depends on what they ask for.
#[derive(Clone, Debug)]
pub(crate) struct Undecided(Caller);

impl Undecided {
    /// Whoever may do it.
    pub async fn require(
        self,
        app: &App,
        permission: Permission,
        action: Action,
        object: &str,
    ) -> Result<Caller, Problem> {
        permit(app, &self.0, permission, Some(action), object).await.map(|()| self.0)
    }
}

/// A route with what it asks.
#[derive(Clone)]
pub(crate) struct Gate {
    pub app: Arc<App>,
    pub access: Access,
    /// How long a request may take.
    pub time_max: Duration,
}

/// Lets a request through to its handler, or not.
pub(crate) async fn check(
    State(gate): State<Gate>,
    path: Result<RawPathParams, RawPathParamsRejection>,
    mut request: Request,
    next: Next,
) -> Response {
    // The first name in the path is what a change is about; a path that cannot be read leads to no handler.
    let object = path.ok().and_then(|path| path.iter().next().map(|(_, value)| value.to_owned()));
    let deadline = Instant::now() + gate.time_max;
    request.extensions_mut().insert(Deadline(deadline));
    let answer = async {
        match admit(&gate, object, &mut request).await {
            Ok(Admitted::Reader) => next.run(request).await,
            Ok(Admitted::Writer) => detached(request, next).await,
            Err(problem) => problem.into_response(),
        }
    };
    in_time(deadline + ANSWER_MARGIN, &gate.access, answer).await
}

/// An answer, or that there is none in time: then a change goes on, and nobody may be told to begin it again.
async fn in_time(deadline: Instant, access: &Access, answer: impl Future<Output = Response>) -> Response {
    match (timeout_at(deadline, answer).await, access) {
        (Ok(answer), _) => answer,
        (Err(_), Access::Open | Access::Read(_)) => {
            Problem::new(ProblemKind::Timeout, "it took too long").into_response()
        }
        (Err(_), Access::Write(..) | Access::ByBody(_)) => {
            Problem::undecided("it took too long: it may have been done, or still be; look before you try again")
                .into_response()
        }
    }
}

/// For what somebody was let in.
enum Admitted {
    /// To look.
    Reader,
    /// To change something.
    Writer,
}

/// Whether a request may come to its handler, which then finds who asks.
async fn admit(gate: &Gate, object: Option<String>, request: &mut Request) -> Result<Admitted, Problem> {
    let Gate { app, access, .. } = gate;
    let needed = match *access {
        Access::Open => return Ok(Admitted::Reader),
        Access::Read(permission) => Some((permission, None)),
        Access::Write(permission, action) => Some((permission, Some(action))),
        Access::ByBody(_) => None,
    };
    let caller = authenticate(app, request.headers()).await?;
    observe::record_subject(&caller.actor.subject);
    let Some((permission, action)) = needed else {
        request.extensions_mut().insert(Undecided(caller));
        return Ok(Admitted::Writer);
    };
    let object = object.unwrap_or_else(|| request.uri().path().to_owned());
    permit(app, &caller, permission, action, &object).await?;
    request.extensions_mut().insert(caller);
    Ok(if action.is_some() { Admitted::Writer } else { Admitted::Reader })
}

/// A change that was begun comes to its end, whether or not whoever asked for it still listens: between its commit
/// and the word of it to the stream nothing may be dropped.
async fn detached(request: Request, next: Next) -> Response {
    let handled = tokio::spawn(tracing::Instrument::in_current_span(async move { next.run(request).await }));
    handled.await.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => observe::panicked(panic),
        Err(error) => Problem::internal(error.to_string()).into_response(),
    })
}

/// Who shows a token that is worth something.
async fn authenticate(app: &App, headers: &HeaderMap) -> Result<Caller, Problem> {
    let refuse = |detail: &str| Problem::new(ProblemKind::Unauthorized, detail);
    let text = bearer(headers).ok_or_else(|| refuse("send a token: `Authorization: Bearer tamis_…`"))?;
    let unknown = || {
        warn_of_guesses(app.now());
        refuse("the token is none of this host")
    };
    let shown = Shown::parse(text).ok_or_else(unknown)?;
    let token = shown.of(app.catalog().token(shown.id).await?).ok_or_else(unknown)?;
    if !token.is_good(app.now()) {
        return Err(refuse(match token.revoked_at {
            Some(_) => "the token was revoked",
            None => "the token has expired",
        }));
    }
    touch(app, &token);
    Ok(Caller::new(token))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// Records the use beside the request: whoever only looks does not wait for a writer.
fn touch(app: &App, token: &Token) {
    let (catalog, token, now) = (app.catalog().clone(), token.clone(), app.now());
    tokio::spawn(async move {
        if let Err(error) = catalog.touch_token(&token, now).await {
            tracing::warn!("{}", error.chain());
        }
    });
}

/// Somebody tries tokens: said in the log now and then, and nowhere else, so that they cannot fill anything.
fn warn_of_guesses(now: Millis) {
    static LAST: AtomicI64 = AtomicI64::new(Millis::MIN);
    let last = LAST.load(Ordering::Relaxed);
    if now.saturating_sub(last) >= WARN_INTERVAL_MS
        && LAST.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    {
        tracing::warn!("somebody shows tokens that are none of this host");
    }
}

/// Whether a token may do it. That a change was refused is kept in the audit log, once a minute.
async fn permit(
    app: &App,
    caller: &Caller,
    permission: Permission,
    action: Option<Action>,
    object: &str,
) -> Result<(), Problem> {
    if caller.token.may(permission) {
        return Ok(());
    }
    if let Some(action) = action.filter(|action| app.refusals.is_news(&caller.token.id, *action, app.now())) {
        refused(app, caller, action, object, &format!("the token does not have the scope {permission}")).await?;
    }
    Err(Problem::forbidden(permission))
}

/// Keeps in the audit log that a change was refused before the catalogue heard of it.
pub(crate) async fn refused(
    app: &App,
    caller: &Caller,
    action: Action,
    object: &str,
    reason: &str,
) -> Result<(), Problem> {
    let change = caller.change(app, None);
    Ok(app.catalog().append_audit(&AuditEntry::refused(action, cut(object), change, reason)).await?)
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        admitted(parts)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Undecided {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        admitted(parts)
    }
}

/// What [`check`] has left; a handler behind another kind of gate finds nothing.
fn admitted<T: Clone + Send + Sync + 'static>(parts: &Parts) -> Result<T, Problem> {
    parts.extensions.get().cloned().ok_or_else(|| Problem::internal("the route is behind another kind of gate"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_waits_too_long_for_a_change_is_told_that_it_may_have_been_done() {
        let check = async |access: Access, kind: ProblemKind| {
            let mut answer = in_time(Instant::now(), &access, std::future::pending()).await;
            assert_eq!(Problem::of(&mut answer).map(|problem| problem.kind()), Some(kind), "{access:?}");
        };
        check(Access::Open, ProblemKind::Timeout).await;
        check(Access::Read(Permission::Read), ProblemKind::Timeout).await;
        check(Access::Write(Permission::RunsWrite, Action::RunStart), ProblemKind::Undecided).await;
        check(Access::ByBody(&[Permission::RulesWrite]), ProblemKind::Undecided).await;
    }
}
