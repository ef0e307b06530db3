import type { TokenSubject } from '../../keystone/client.ts';
import type { Policy } from './policy.ts';
import type { Subject } from './rule.ts';

/** Who sends a request. */
export interface Caller {
  /** For logs and the audit. */
  name: string;
  /** Where what it makes belongs, unless it says otherwise. */
  projectId: string;
  /** What rules judge; undefined while there is no authentication, and everything is allowed. */
  subject: Subject | undefined;
}

declare module 'hono' {
  interface ContextVariableMap {
    caller: Caller;
    /** Lists show this project only; undefined: all that are asked for. */
    projectScope: string | undefined;
  }
}

/** The caller that a token stands for; undefined when the token is for no project, as all of ours have to be. */
export function callerOf(token: TokenSubject, policy: Policy): Caller | undefined {
  if (token.projectId === undefined) return undefined;
  const subject: Subject = {
    roles: new Set(token.roles.map((role) => role.toLowerCase())),
    user_id: token.userId,
    user_domain_id: token.userDomainId,
    project_id: token.projectId,
    ...(token.projectDomainId !== undefined && { project_domain_id: token.projectDomainId }),
  };
  return { name: token.userName, projectId: token.projectId, subject: policy.withAdmin(subject) };
}
