//! One run of the program: flags and configuration resolved, output set up, profiles opened on demand, and at the end
//! the error turned into a message and an exit code.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use etcetera::BaseStrategy;
use secrecy::ExposeSecret;

use crate::adapters::{self, Account};
use crate::config::{Choice, Config, Env, Profile, Sourced, read_at_most};
use crate::error::{Error, Kind, Result};
use crate::global::Global;
use crate::http::{Gate, Redactor};
use crate::interrupt::Interrupt;
use crate::output::{Format, Out, Source, set_color};
use crate::provider::{Checked, Op, Provider, ProviderId, Support};
use crate::sandbox::Sandbox;

/// A megabyte: some thousand certificates.
const CA_FILE_MAX: u64 = 1 << 20;

/// How long to wait for the sandbox: others hold it for some milliseconds a request.
const SANDBOX_TIME: Duration = Duration::from_secs(5);

/// One run of the program.
pub(crate) struct App {
    /// The configuration.
    pub(crate) config: Config,
    /// Where results go.
    pub(crate) out: Out,
    /// Which profiles the command is for.
    pub(crate) choice: Choice,
    /// Whether requests that change something are only shown.
    pub(crate) dry_run: bool,
    /// Whether questions are taken as answered with yes.
    pub(crate) yes: bool,
    /// Whether questions are errors.
    pub(crate) no_input: bool,
    /// What holds for every profile, each with its origin.
    pub(crate) general: [(&'static str, Sourced<String>); 2],
    /// The request to stop early.
    pub(crate) interrupt: Arc<Interrupt>,
    /// Whether waits are left out, for tests.
    pub(crate) no_wait: bool,
    redactor: Redactor,
    gates: BTreeMap<String, Arc<Gate>>,
    sandbox: Option<Sandbox>,
    /// The profile that [`App::close`] closes.
    opened: Option<Arc<Opened>>,
}

/// An opened profile.
pub(crate) struct Opened {
    /// The profile.
    pub(crate) profile: Profile,
    /// The provider behind its checks.
    pub(crate) provider: Checked,
}

impl Opened {
    /// Returns where rows of this profile come from.
    pub(crate) fn source(&self) -> Source {
        Source { provider: self.profile.provider, profile: self.profile.name.clone() }
    }
}

impl App {
    /// Resolves flags, environment and file.
    pub(crate) async fn new(global: Global, env: Env, interrupt: Arc<Interrupt>) -> Result<Self> {
        let config = Config::load(global.config.as_deref(), env).await?;
        let output = config.general("output", global.output, "table");
        let color = config.general("color", global.color, "auto");
        let wrong = |what: &str, setting: &Sourced<String>, why: String| {
            Error::new(Kind::Config, format!("{:?} is not a valid {what} ({}): {why}", setting.value, setting.origin))
        };
        let format: Format = output.value.parse().map_err(|why| wrong("output format", &output, why))?;
        set_color(&color.value).map_err(|why| wrong("choice of colour", &color, why))?;
        let provider = match (&global.provider, config.env().get("MBX_PROVIDER")) {
            (Some(provider), _) => Some(*provider),
            (None, Some(text)) if global.profile.is_empty() => Some(
                text.parse::<ProviderId>()
                    .map_err(|why| Error::new(Kind::Config, format!("MBX_PROVIDER is {text:?}: {why}")))?,
            ),
            (None, _) => None,
        };
        let mut profiles = global.profile.clone();
        if profiles.is_empty() && global.provider.is_none() {
            profiles.extend(config.env().get("MBX_PROFILE").map(str::to_owned));
        }
        Ok(App {
            out: Out {
                format,
                columns: global.columns,
                no_headers: global.no_headers,
                sort: global.sort,
                limit: global.limit,
                quiet: global.quiet,
            },
            choice: Choice { provider, profiles, all: global.all_profiles, sandbox: global.sandbox },
            dry_run: global.dry_run,
            yes: global.yes,
            no_input: global.no_input,
            no_wait: config.env().flag("MBX_NO_WAIT")?.unwrap_or_default(),
            general: [("output", output), ("color", color)],
            interrupt,
            redactor: Redactor::default(),
            gates: BTreeMap::new(),
            sandbox: None,
            opened: None,
            config,
        })
    }

    /// Returns where mbx keeps its state.
    pub(crate) fn state_dir(&self) -> Result<PathBuf> {
        let strategy = etcetera::choose_base_strategy()
            .map_err(|_| Error::new(Kind::Config, "there is no home folder to keep state in").hint("set HOME"))?;
        Ok(strategy.state_dir().unwrap_or_else(|| strategy.data_dir()).join("mbx"))
    }

    /// Returns the file the built-in sandbox keeps its state in.
    pub(crate) fn sandbox_file(&self) -> Result<PathBuf> {
        Ok(self.state_dir()?.join("sandbox.json"))
    }

    /// Returns the one profile the command is for.
    pub(crate) fn one_profile(&self) -> Result<Profile> {
        let mut profiles = self.config.choose(&self.choice)?;
        match (profiles.pop(), profiles.pop()) {
            (Some(profile), None) => profile,
            _ => Err(Error::new(Kind::Usage, "this command works on one profile at a time; only lists take several")),
        }
    }

    /// Opens the one profile the command is for. It is closed when the command ends.
    pub(crate) async fn open_one(&mut self) -> Result<Arc<Opened>> {
        let opened = Arc::new(self.open(self.one_profile()?).await?);
        self.opened = Some(opened.clone());
        Ok(opened)
    }

    /// Closes what [`App::open_one`] opened, such as a session.
    pub(crate) async fn close(&mut self) {
        if let Some(opened) = self.opened.take() {
            opened.provider.close().await;
        }
    }

    /// Returns every profile the command is for, or why it cannot be used.
    pub(crate) fn profiles(&self) -> Result<Vec<Result<Profile>>> {
        self.config.choose(&self.choice)
    }

    /// Opens a profile: reads its secrets and builds its sender and adapter.
    pub(crate) async fn open(&mut self, profile: Profile) -> Result<Opened> {
        let account = self.account(&profile).await.and_then(|account| adapters::open(&account));
        match account {
            Ok(provider) => {
                // A profile was set up for one account, and this run may be on another.
                for (key, variable) in &profile.overruled {
                    self.out.note_for_people(&format!("{variable} overrides `{key}` of profile {}", profile.name));
                }
                if !profile.headers.is_empty() && self.config.is_open_to_others() {
                    let path = self.config.path.display();
                    self.out.note_for_people(&format!(
                        "{path} holds `headers`, and others can read or change it: chmod 600 {path}"
                    ));
                }
                self.interrupt.sending();
                Ok(Opened { profile, provider })
            }
            Err(error) => Err(error.at(profile.provider, &profile.name)),
        }
    }

    async fn account(&mut self, profile: &Profile) -> Result<Account> {
        if let Some(missing) = profile.missing() {
            return Err(missing);
        }
        let base_url =
            if profile.sandbox.value { self.sandbox_url(profile.provider).await? } else { base_url(profile)? };
        let env = self.config.env();
        let secret = profile.secret.as_ref().expect("it is not missing").value.read(env).await?;
        let totp = match &profile.totp {
            Some(totp) => Some(totp.value.read(env).await?),
            None => None,
        };
        if let Some(totp) = &totp {
            self.redactor.learn(totp);
        }
        let ca_pem = match &profile.ca_file {
            Some(file) => Some(read_at_most(&file.value, CA_FILE_MAX).await.map_err(|why| {
                Error::new(Kind::Config, format!("cannot read ca_file {}: {why}", file.value.display()))
            })?),
            None => None,
        };
        // One gate per credential: two profiles that log in with the same one are one client to the provider.
        let user = profile.user.as_ref().map_or("", |user| &user.value);
        let key = format!("{base_url}\n{user}\n{}", secret.expose_secret());
        let pace = profile.pace;
        let gate = self.gates.entry(key).or_insert_with(|| Arc::new(Gate::new(pace))).clone();
        Ok(Account {
            provider: profile.provider,
            profile: profile.name.clone(),
            flags: profile.flags(),
            base_url,
            secret,
            user: profile.user.as_ref().map(|user| user.value.clone()),
            totp,
            settings: profile.settings.iter().map(|(key, setting)| (key.clone(), setting.value.clone())).collect(),
            headers: profile.headers.clone(),
            ca_pem,
            pace,
            gate,
            redactor: self.redactor.clone(),
            allow_unverified: profile.allow_unverified.value,
            dry_run: self.dry_run,
            no_wait: self.no_wait,
        })
    }

    async fn sandbox_url(&mut self, provider: ProviderId) -> Result<String> {
        if self.sandbox.is_none() {
            let file = self.sandbox_file()?;
            private_folder(&self.state_dir()?)?;
            let busy = |_| {
                let message = "another mbx has used the sandbox for longer than a request takes";
                Error::new(Kind::Busy, message).hint("wait for it to end, and try again")
            };
            let started = tokio::time::timeout(SANDBOX_TIME, Sandbox::start_on(0, Some(file))).await;
            self.sandbox = Some(started.map_err(busy)??);
            self.out.note_for_people("this is the built-in sandbox; nothing leaves this machine");
        }
        Ok(self.sandbox.as_ref().expect("it was just started").base_url(provider))
    }

    /// Says in the sandbox which of these operations use undocumented routes. With a real account the profile has allowed
    /// them, so that nothing is left to say.
    pub(crate) fn note_unverified(&self, opened: &Opened, ops: impl IntoIterator<Item = Op>) {
        let spec = opened.provider.spec();
        let mut shown = Vec::new();
        for op in ops {
            if let Support::Unverified(why) = (spec.support)(op)
                && opened.profile.sandbox.value
                && !shown.contains(&why)
            {
                let title = spec.title;
                self.out.note_for_people(&format!(
                    "undocumented route; real {title} accounts need allow_unverified = true: {why}"
                ));
                shown.push(why);
            }
        }
    }
}

fn base_url(profile: &Profile) -> Result<String> {
    let url = profile.base_url.as_ref().expect("it is not missing");
    match url.value.problem() {
        Some(why) => Err(Error::new(Kind::Config, format!("bad base URL ({}): {why}", url.origin))),
        None => Ok(url.value.as_str().to_owned()),
    }
}

/// Makes a folder that only its owner can open, and takes the access of others to one that exists.
pub(crate) fn private_folder(path: &std::path::Path) -> Result<()> {
    let failed = |error: std::io::Error| Error::new(Kind::Config, format!("cannot make {}: {error}", path.display()));
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(failed)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(path).map_err(failed)?.permissions().mode();
        if mode & 0o077 != 0 {
            fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(failed)?;
        }
    }
    Ok(())
}
