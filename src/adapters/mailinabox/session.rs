//! How requests to a box are signed: with the password, or with a login key where there is a second factor. A one-time
//! code works for one request only, so `/login` trades it for a key, which needs no code.

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::sync::Mutex;
use totp_rs::{Builder, Secret, Totp};

use crate::adapters::Account;
use crate::error::{Effect, Error, Kind, Result};
use crate::http::{Call, Credential, Http, Method, Reply};

/// What a dead login key is answered with, and a wrong password as well.
const WRONG: &str = "Incorrect email address or password.";

pub(super) struct Session {
    /// Signs with the password.
    pub(super) http: Http,
    pub(super) user: String,
    /// Makes the codes of the second factor, where the account has one.
    totp: Option<Totp>,
    /// The login key in use, numbered so that one which died is replaced once and not once a request.
    key: Mutex<Option<(u32, Http)>>,
}

impl Session {
    pub(super) fn new(http: Http, account: &Account) -> Result<Self> {
        let user = account.user.clone().unwrap_or_default();
        if !user.is_ascii() || !account.secret.expose_secret().is_ascii() {
            let why = "a box reads user and password as ASCII only: this login can never work";
            return Err(Error::new(Kind::Config, why).hint("give the administrator a password of ASCII characters"));
        }
        http.guard(account.totp.as_ref());
        let totp = account.totp.as_ref().map(|seed| codes(seed.expose_secret())).transpose()?;
        Ok(Session { http, user, totp, key: Mutex::new(None) })
    }

    /// Sends a request, signed either way.
    pub(super) async fn ask(&self, request: impl for<'h> Fn(&'h Http) -> Call<'h> + Send + Sync) -> Result<Reply> {
        let Some(totp) = &self.totp else { return request(&self.http).reply().await.map_err(advised) };
        let (number, http) = self.open(totp, 0).await?;
        match request(&http).reply().await {
            // Keys die with a restart of the box and when 64 newer ones are made.
            Err(error) if error.http_status == Some(401) && error.provider_message.as_deref() == Some(WRONG) => {
                request(&self.open(totp, number).await?.1).reply().await
            }
            result => result,
        }
        .map_err(advised)
    }

    /// Returns a login key newer than the `dead` one, and makes it if nobody else has.
    async fn open(&self, totp: &Totp, dead: u32) -> Result<(u32, Http)> {
        let mut slot = self.key.lock().await;
        if let Some(open) = slot.as_ref().filter(|(number, _)| *number > dead) {
            return Ok(open.clone());
        }
        let code = totp.generate_current().to_string().into();
        let call = self.http.write(Method::POST, &["login"]).header("X-Auth-Token", code).in_dry_run();
        // Nothing that was asked for has been sent yet, whatever became of the login.
        let login: WireLogin = call.json().await.map_err(|error| advised(error.effect(Effect::None)))?;
        let key = SecretString::from(login.api_key);
        self.http.guard(Some(&key));
        let http = self.http.with_credential(Credential::Basic(self.user.clone(), key));
        *slot = Some((dead + 1, http.clone()));
        if login.privileges.iter().any(|word| word == "admin") {
            return Ok((dead + 1, http));
        }
        // Anybody gets a key, but only an administrator's opens anything.
        Err(Error::new(Kind::Denied, format!("{} is not an administrator of this box", self.user)))
    }

    pub(super) async fn close(&self) {
        if let Some((_, http)) = self.key.lock().await.take() {
            // A key that stays behind dies by itself after two days.
            let _ = http.write(Method::POST, &["logout"]).in_dry_run().done().await;
        }
    }
}

#[derive(Deserialize)]
struct WireLogin {
    api_key: String,
    #[serde(default)]
    privileges: Vec<String>,
}

/// Reads the seed of one-time codes as people copy it: spaces, lower case and `=` at the end do not matter.
fn codes(seed: &str) -> Result<Totp> {
    let seed: String = seed.chars().filter(|c| !c.is_whitespace() && !matches!(c, '-' | '=')).collect();
    let secret = Secret::try_from_base32(seed.to_uppercase()).ok();
    secret.and_then(|secret| Builder::new().with_secret(secret).build().ok()).ok_or_else(|| {
        Error::new(Kind::Config, "`totp` is not the seed of one-time codes")
            .hint("it is the text of 32 letters and digits that the box shows below the QR code")
    })
}

/// Adds the next step where the box's own words have one.
fn advised(error: Error) -> Error {
    let hint = match (error.http_status, error.provider_message.as_deref()) {
        (Some(404), _) => "does `base_url` end in /admin? If it does, this box is too old for this",
        (_, Some("missing-totp-token")) => "this account has a second factor: set `totp` in the profile",
        (_, Some("invalid-totp-token")) => {
            "each code works once: wait half a minute for the next one; if that is refused too, check seed and clock"
        }
        _ => return error,
    };
    error.hint(hint)
}
