// Asks iam-simulate which requests a policy allows. Standard input is a JSON array of {policy, principal, action,
// resource, context}, and standard output an array of Allowed, ImplicitlyDenied and the like.
import { createRequire } from 'node:module'
import { readFileSync } from 'node:fs'

const { runSimulation } = createRequire(`${process.argv[2]}/`)('@cloud-copilot/iam-simulate')
const answers = []
for (const asked of JSON.parse(readFileSync(0, 'utf8'))) {
  const [accountId] = `${asked.resource} ${asked.principal}`.match(/\d{12}/)
  const answer = await runSimulation({
    identityPolicies: asked.policy ? [{ name: 'policy', policy: asked.policy }] : [],
    serviceControlPolicies: [],
    resourceControlPolicies: [],
    resourcePolicy: asked.resourcePolicy,
    request: {
      action: asked.action,
      principal: asked.principal,
      resource: { accountId, resource: asked.resource },
      contextVariables: asked.context ?? {},
    },
  }, {})
  if (answer.errors) throw new Error(JSON.stringify({ asked, errors: answer.errors }))
  answers.push(answer.overallResult ?? answer.result?.overallResult ?? answer)
}
process.stdout.write(JSON.stringify(answers))
