//! Keeps things in numbered places and finds them by a key that goes stale when they leave.

use core::convert::Infallible;
use core::marker::PhantomData;

use crate::id::Key;

/// A table with stable keys. Iteration is in the order of the places, hence deterministic.
#[derive(Debug)]
pub(crate) struct Slab<K, T> {
    places: Vec<Place<T>>,
    free: Vec<u32>,
    key: PhantomData<fn() -> K>,
}

#[derive(Debug)]
struct Place<T> {
    generation: u32,
    tenant: Option<T>,
}

impl<K: From<Key> + Into<Key>, T> Slab<K, T> {
    pub(crate) const fn new() -> Self {
        Self {
            places: Vec::new(),
            free: Vec::new(),
            key: PhantomData,
        }
    }

    /// How many things are in the table.
    pub(crate) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts in what `make` builds from its own key. The caller has checked the limit.
    pub(crate) fn insert_with(&mut self, make: impl FnOnce(K) -> T) -> K {
        let Ok(key) = self.try_insert_with(|key| Ok::<T, Infallible>(make(key)));
        key
    }

    /// The same for what may fail; nothing is put in then.
    pub(crate) fn try_insert_with<E>(
        &mut self,
        make: impl FnOnce(K) -> Result<T, E>,
    ) -> Result<K, E> {
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place {
                generation: 0,
                tenant: None,
            });
            u32::try_from(self.places.len() - 1).unwrap_or(u32::MAX)
        });
        let mut key = Key {
            index,
            generation: 0,
        };
        if let Some(place) = self.places.get_mut(index as usize) {
            key.generation = place.generation;
            match make(K::from(key)) {
                Ok(tenant) => place.tenant = Some(tenant),
                Err(error) => {
                    self.free.push(index);
                    return Err(error);
                }
            }
        }
        Ok(K::from(key))
    }

    pub(crate) fn remove(&mut self, key: K) -> Option<T> {
        let key: Key = key.into();
        let place = self.places.get_mut(key.index as usize)?;
        if place.generation != key.generation {
            return None;
        }
        let tenant = place.tenant.take()?;
        place.generation = place.generation.wrapping_add(1);
        self.free.push(key.index);
        Some(tenant)
    }

    pub(crate) fn get(&self, key: K) -> Option<&T> {
        let key: Key = key.into();
        let place = self.places.get(key.index as usize)?;
        if place.generation == key.generation {
            place.tenant.as_ref()
        } else {
            None
        }
    }

    pub(crate) fn get_mut(&mut self, key: K) -> Option<&mut T> {
        let key: Key = key.into();
        let place = self.places.get_mut(key.index as usize)?;
        if place.generation == key.generation {
            place.tenant.as_mut()
        } else {
            None
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (K, &T)> {
        (0u32..).zip(&self.places).filter_map(|(index, place)| {
            let key = Key {
                index,
                generation: place.generation,
            };
            place.tenant.as_ref().map(|tenant| (K::from(key), tenant))
        })
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (K, &mut T)> {
        (0u32..).zip(&mut self.places).filter_map(|(index, place)| {
            let key = Key {
                index,
                generation: place.generation,
            };
            place.tenant.as_mut().map(|tenant| (K::from(key), tenant))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::EndpointKey;

    #[test]
    fn a_key_of_a_former_tenant_finds_nobody() {
        let mut slab: Slab<EndpointKey, &str> = Slab::new();
        let old = slab.insert_with(|_| "old");
        assert_eq!(slab.remove(old), Some("old"));
        let new = slab.insert_with(|_| "new");
        assert_eq!(new.0.index, old.0.index);
        assert_eq!(slab.get(old), None);
        assert_eq!(slab.remove(old), None);
        assert_eq!(slab.get_mut(new), Some(&mut "new"));
        assert_eq!(slab.len(), 1);
    }
}
