import { type Clock, systemClock } from '../../../src/util/clock.js'

/** A clock that is almost ten seconds late, so that what BullMQ is to offer again in ten seconds is offered soon. */
export const earlyClock: Clock = { ...systemClock, wallNow: () => Date.now() - 9_900 }
