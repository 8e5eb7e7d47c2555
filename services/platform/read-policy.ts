import { type Policy, parsePolicy } from '../domain/judge/policy.ts'
import { readTextFile } from './settings.ts'

/**
 * The policy in a file, and the hash of its content.
 * @throws {SluiceError} POLICY_INVALID
 */
export function readPolicy(file: string): { policy: Policy; hash: string } {
  return parsePolicy(readTextFile('POLICY_INVALID', file), file)
}
