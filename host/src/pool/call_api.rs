//! The methods of a pool that take a function's name: each is that of [`Function`] with defaults.
//!
//! This module must not do anything else.

use super::Pool;
use super::error::{CallError, PoolError};
use super::handle::AsyncResult;
use super::iter::Imap;
use crate::outcome::TaskError;
use serde::Serialize;
use serde::de::DeserializeOwned;

#[cfg(doc)]
use super::function::Function;

impl Pool {
    /// [`Function::apply`] of the function called `name`.
    ///
    /// # Errors
    /// As there, and if there is no such function.
    pub fn apply<A: Serialize + ?Sized, R: DeserializeOwned>(
        &self,
        name: &str,
        argument: &A,
    ) -> Result<R, CallError> {
        self.function(name)?.apply(argument)
    }

    /// [`Function::apply_async`] of the function called `name`.
    ///
    /// # Errors
    /// As there, and if there is no such function.
    pub fn apply_async<A: Serialize + ?Sized, R: DeserializeOwned>(
        &self,
        name: &str,
        argument: &A,
    ) -> Result<AsyncResult<R>, PoolError> {
        self.function(name)?.apply_async(argument)
    }

    /// [`Function::map`] of the function called `name`.
    ///
    /// # Errors
    /// As there, and if there is no such function.
    pub fn map<I, R>(&self, name: &str, items: I) -> Result<Vec<R>, CallError>
    where
        I: IntoIterator<Item: Serialize>,
        R: DeserializeOwned,
    {
        self.function(name)?.map(items)
    }

    /// [`Function::starmap`] of the function called `name`.
    ///
    /// # Errors
    /// As there, and if there is no such function.
    pub fn starmap<I, R>(&self, name: &str, items: I) -> Result<Vec<R>, CallError>
    where
        I: IntoIterator<Item: Serialize>,
        R: DeserializeOwned,
    {
        self.function(name)?.starmap(items)
    }

    /// [`Function::map_async`] of the function called `name`.
    ///
    /// # Errors
    /// As there, and if there is no such function.
    pub fn map_async<I, R>(&self, name: &str, items: I) -> Result<AsyncResult<Vec<R>>, PoolError>
    where
        I: IntoIterator<Item: Serialize>,
        R: DeserializeOwned,
    {
        self.function(name)?.map_async(items)
    }

    /// [`Function::starmap_async`] of the function called `name`.
    ///
    /// # Errors
    /// As there, and if there is no such function.
    pub fn starmap_async<I, R>(
        &self,
        name: &str,
        items: I,
    ) -> Result<AsyncResult<Vec<R>>, PoolError>
    where
        I: IntoIterator<Item: Serialize>,
        R: DeserializeOwned,
    {
        self.function(name)?.starmap_async(items)
    }

    /// [`Function::map_outcomes`] of the function called `name`.
    ///
    /// # Errors
    /// As there, and if there is no such function.
    pub fn map_outcomes<I, R>(
        &self,
        name: &str,
        items: I,
    ) -> Result<Vec<Result<R, TaskError>>, CallError>
    where
        I: IntoIterator<Item: Serialize>,
        R: DeserializeOwned,
    {
        self.function(name)?.map_outcomes(items)
    }

    /// [`Function::imap`] of the function called `name`.
    ///
    /// # Errors
    /// As there, and if there is no such function.
    pub fn imap<I, R>(&self, name: &str, items: I) -> Result<Imap<R>, PoolError>
    where
        I: IntoIterator<Item: Serialize, IntoIter: Send + 'static>,
        R: DeserializeOwned,
    {
        self.function(name)?.imap(items)
    }

    /// [`Function::imap_unordered`] of the function called `name`.
    ///
    /// # Errors
    /// As there, and if there is no such function.
    pub fn imap_unordered<I, R>(&self, name: &str, items: I) -> Result<Imap<R>, PoolError>
    where
        I: IntoIterator<Item: Serialize, IntoIter: Send + 'static>,
        R: DeserializeOwned,
    {
        self.function(name)?.imap_unordered(items)
    }

    /// [`Function::istarmap`] of the function called `name`.
    ///
    /// # Errors
    /// As there, and if there is no such function.
    pub fn istarmap<I, R>(&self, name: &str, items: I) -> Result<Imap<R>, PoolError>
    where
        I: IntoIterator<Item: Serialize, IntoIter: Send + 'static>,
        R: DeserializeOwned,
    {
        self.function(name)?.istarmap(items)
    }

    /// [`Function::istarmap_unordered`] of the function called `name`.
    ///
    /// # Errors
    /// As there, and if there is no such function.
    pub fn istarmap_unordered<I, R>(&self, name: &str, items: I) -> Result<Imap<R>, PoolError>
    where
        I: IntoIterator<Item: Serialize, IntoIter: Send + 'static>,
        R: DeserializeOwned,
    {
        self.function(name)?.istarmap_unordered(items)
    }
}
