/** A name under which several declarations are exported, and where they are, as `file:line`. */
export interface SharedName {
  name: string
  places: string[]
}

export function sharedNames(root: string): SharedName[]
