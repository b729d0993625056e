//! How Qboxmail's codes are found: by listing, since no path takes a name.

use async_stream::try_stream;
use futures_util::TryStreamExt;

use super::Qboxmail;
use super::wire::*;
use crate::error::{Error, Kind, Result};
use crate::http::{Method, Page, pages};
use crate::lock::held;
use crate::model::{Address, Domain, DomainName};
use crate::provider::Listing;

impl Qboxmail {
    /// Lists a collection; `search` is no exact match. A collection that is empty may answer 404.
    pub(super) fn list<'a>(&'a self, path: &'a [&'a str], search: Option<&'a DomainName>) -> Listing<'a, WireResource> {
        let path: Vec<String> = path.iter().map(|&segment| segment.to_owned()).collect();
        let search = search.cloned();
        let fetch = move |this: Self, number: u32| {
            let (path, search) = (path.clone(), search.clone());
            async move {
                let path: Vec<&str> = path.iter().map(String::as_str).collect();
                let search = search.as_ref().map(|name| ("query", name.as_str()));
                let call = this.http.read(Method::GET, &path).query(&[("page", &number.to_string()), ("per", PER)]);
                let Some(list) = envelope(call.query(search.as_slice())).await? else {
                    if path.len() > 3 && this.one(&path[..3]).await?.is_none() {
                        return Err(Error::new(Kind::NotFound, "the domain is gone, or this token does not see it"));
                    }
                    return Ok(Page { items: Vec::new(), more: false, total: None });
                };
                Ok(list.page(number))
            }
        };
        pages(self, |resource: &WireResource| resource.code.clone(), fetch)
    }

    /// Lists what one domain holds, or what all do.
    pub(super) fn list_in<'a, T: Send + 'a>(
        &'a self,
        domain: Option<&'a DomainName>,
        what: &'static str,
        read: fn(WireResource, &DomainName) -> T,
    ) -> Listing<'a, T> {
        Listing::items(try_stream! {
            let domains = match domain {
                Some(name) => Vec::from([self.find_domain(name).await?]),
                None => self.list(&["api", "domains"], None).try_collect().await?,
            };
            for domain in domains {
                let path = ["api", "domains", &domain.code, what];
                let mut all = self.list(&path, None);
                while let Some(resource) = all.try_next().await? {
                    yield read(resource, &domain.domain());
                }
            }
        })
    }

    /// Reads a single resource, which is a list of one.
    pub(super) async fn one(&self, path: &[&str]) -> Result<Option<WireResource>> {
        let list = envelope(self.http.read(Method::GET, path)).await?;
        Ok(list.and_then(|list| list.resources.into_iter().next()))
    }

    pub(super) async fn find_domain(&self, name: &DomainName) -> Result<WireResource> {
        let mut found = self.list(&["api", "domains"], Some(name));
        while let Some(domain) = found.try_next().await? {
            if domain.domain() == *name {
                return Ok(domain);
            }
        }
        Err(Error::no_domain(name))
    }

    pub(super) async fn read_domain(&self, name: &DomainName, code: &str) -> Result<Domain> {
        self.one(&["api", "domains", code]).await?.map(domain_from).ok_or_else(|| Error::no_domain(name))
    }

    /// Returns the code of a domain. It is asked for once: a run over many mailboxes would ask for each.
    pub(super) async fn code_of(&self, name: &DomainName) -> Result<String> {
        let known = held(&self.codes).get(name).cloned();
        if let Some(code) = known {
            return Ok(code);
        }
        let code = self.find_domain(name).await?.code;
        let mut codes = held(&self.codes);
        Ok(codes.entry(name.clone()).or_insert(code).clone())
    }

    /// Returns the codes of what has an address, and of its domain.
    pub(super) async fn find(&self, what: &str, address: &Address) -> Result<Option<(String, String)>> {
        let domain = self.code_of(address.domain()).await?;
        let path = ["api", "domains", &domain, what];
        let mut all = self.list(&path, None);
        while let Some(resource) = all.try_next().await? {
            if resource.address(address.domain()) == *address {
                return Ok(Some((domain.clone(), resource.code)));
            }
        }
        Ok(None)
    }

    /// Calls with the codes of a mailbox's domain and of the mailbox.
    pub(super) async fn on_mailbox<R, Call>(
        &self,
        address: &Address,
        call: impl Fn(String, String) -> Call,
    ) -> Result<R>
    where
        Call: Future<Output = Result<R>>,
    {
        let domain = self.code_of(address.domain()).await?;
        let find = || async {
            let found = self.find(MAILBOXES, address).await?.ok_or_else(|| Error::no_mailbox(address))?;
            Ok(found.1)
        };
        self.known.on(address, find, |code| call(domain.clone(), code)).await
    }
}
